import type { Caller } from "../contract/caller.ts";
import { dedupeByCloudEvent } from "../contract/dedupe.ts";
import { refusal } from "../contract/problem.ts";
import type { SendRequest, StartRequest } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { keptOf, traceOf, type ReceivedEvent } from "../cloudevents/received.ts";
import { addressOf } from "./instances.ts";
import { incoming } from "../instance/validate.ts";
import { startRequest } from "./start-body.ts";

/** The CloudEvent type of a message that starts the instance that its subject names; `data` is the input. */
export const START = "durachart.start";

/** Where a CloudEvent came in. */
export interface Arrival {
  caller: Caller;
  /** It came over a queue: its sender waits for no answer. */
  brokered?: boolean;
  /** `traceparent` of the request that brought it, for an event without one of its own. */
  trace?: string;
}

/**
 * What a CloudEvent asks of the instance that its subject names, `{workflow}/{id}`.
 *
 * @throws ProblemError bad-cloudevent, not-found, bad-id, unknown-event, invalid-body
 */
export function requestOf(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  received: ReceivedEvent,
  arrival: Arrival,
): SendRequest {
  const { workflow, id } = subjectOf(workflows, received);
  return requestTo(workflow, id, received, arrival);
}

/**
 * What a message of type `durachart.start` asks for. Repeats find the instance that is there.
 *
 * @throws ProblemError bad-cloudevent, not-found, bad-id, invalid-body, forbidden
 */
export function startOf(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  received: ReceivedEvent,
  caller: Caller,
): StartRequest {
  const { workflow, id } = subjectOf(workflows, received);
  const { data: input } = received;
  return startRequest(
    workflow,
    caller,
    { id, ...(input === undefined ? {} : { input }) },
    undefined,
  );
}

/** @throws ProblemError bad-cloudevent, not-found */
function subjectOf(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  { subject }: ReceivedEvent,
): { workflow: RegisteredWorkflow; id: string } {
  const parts = (subject ?? "").split("/");
  const [key, id] = parts;
  if (parts.length !== 2 || !key || !id) {
    throw refusal("bad-cloudevent", "subject must be {workflow}/{id}.", { field: "subject" });
  }
  const workflow = workflows.get(key);
  if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
  return { workflow, id };
}

/**
 * As `requestOf`, of an instance that is known already.
 *
 * @throws ProblemError bad-id, unknown-event, invalid-body
 */
export function requestTo(
  workflow: RegisteredWorkflow,
  id: string,
  received: ReceivedEvent,
  { caller, brokered = false, trace }: Arrival,
): SendRequest {
  const { type, data } = received;
  return {
    address: addressOf(caller, workflow.key, id),
    caller,
    event: incoming(workflow, type, data),
    dedupe: dedupeByCloudEvent(caller, received),
    brokered,
    // The event's own is where it began; the request's may be a broker's.
    trace: traceOf(received) ?? trace,
    attributes: keptOf(received),
  };
}
