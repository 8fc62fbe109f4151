import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { SendReply } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { ReceivedEvent } from "./cloudevent.ts";
import { dedupeByCloudEvent } from "./idempotency.ts";
import { addressOf, type Instances } from "./instances.ts";
import { incoming } from "../instance/validate.ts";

/**
 * Brings a CloudEvent to the instance that its subject names, `{workflow}/{id}`.
 *
 * @throws ProblemError bad-cloudevent, not-found, bad-id, unknown-event, invalid-body
 */
export function deliverCloudEvent(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  instances: Instances,
  caller: Caller,
  received: ReceivedEvent,
  { brokered = false }: { brokered?: boolean } = {},
): Promise<SendReply> {
  const parts = (received.subject ?? "").split("/");
  const [key, id] = parts;
  if (parts.length !== 2 || !key || !id) {
    throw refusal("bad-cloudevent", "subject must be {workflow}/{id}.", { field: "subject" });
  }
  const workflow = workflows.get(key);
  if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
  const event = incoming(workflow, received.type, received.data);
  const address = addressOf(caller, key, id);
  const dedupe = dedupeByCloudEvent(caller, received);
  return instances.send({ address, caller, event, dedupe, brokered });
}
