import { isInstanceId } from "../contract/address.ts";
import { canonical } from "../contract/canonical.ts";
import { ProblemError, refusal, type ProblemName } from "../contract/problem.ts";
import type { Letter, StartRequest } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Processor } from "./processor.ts";
import { checkMessage } from "../contract/shape.ts";
import { parentLink } from "./store.ts";
import { asJson, incoming, validate, validateEvent } from "./validate.ts";

type SendLetter = Extract<Letter, { kind: "send" }>;

/** @throws ProblemError as `start` and `send` do, has-ended, and where the workflow's schemas don't take it */
export function takeLetter(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  processor: Processor,
  letter: Letter,
  now: number,
): void {
  const { address, caller, hops, trace } = letter;
  if (letter.kind === "outcome") {
    // Nobody waiting is no error: the actor was stopped, or has heard it before.
    processor.takeOutcome(letter.of, letter.ending, now);
    return;
  }
  const workflow = workflows.get(address.workflow);
  if (workflow === undefined) {
    throw refusal("unknown-workflow", `There is no workflow "${address.workflow}".`);
  }
  if (letter.event !== undefined) checkMessage(letter.event);
  if (letter.kind === "send") {
    incoming(workflow, letter.event.type, letter.event.data);
    if (!isPointless(processor, letter)) takeSend(processor, letter, now);
    return;
  }
  const { fingerprint, parent, input } = letter;
  if (!isInstanceId(address.id)) {
    // Over HTTP nobody could ask for it.
    throw refusal(
      "bad-id",
      `An id has 1 to 200 characters of A–Z a–z 0–9 . _ ~ -, not "${address.id}".`,
    );
  }
  try {
    const asked: StartRequest = {
      ...{ address, caller, fingerprint, hops, trace },
      input:
        workflow.input === undefined ? input : asJson(validate(workflow.input, input, "input")),
      ...(letter.event === undefined
        ? {}
        : { event: validateEvent(workflow, letter.event.type, letter.event.data) }),
      ...(parent === undefined ? {} : { parent }),
    };
    const { request, keep } = processor.transactions.store.secrets.admit(workflow, asked);
    processor.start(request, now, keep);
  } catch (error) {
    // Without a wish to hear of its end, that it is there already is as good as having started it.
    if (!isProblem(error, "id-in-use") || parent !== undefined) throw error;
  }
}

function takeSend(processor: Processor, letter: SendLetter, now: number): void {
  const { address, caller, event, hops, trace, dedupe } = letter;
  try {
    const attributes = trace === undefined ? undefined : { traceparent: trace };
    const what = { address, caller, event, dedupe, hops, trace, attributes, brokered: true };
    processor.send(what, now);
  } catch (error) {
    // Only now: what was taken before the end is taken.
    if (!isProblem(error, "event-not-allowed") || !hasEnded(processor)) throw error;
    // A timer that was due has ended it first.
    if (letter.of !== undefined) return;
    throw refusal(
      "has-ended",
      `${address.workflow}/${address.id} has come to its end: it takes nothing more.`,
    );
  }
}

/** Whether the actor that it is about is gone: the instance is another's, or has come to its end. */
function isPointless(processor: Processor, { of }: SendLetter): boolean {
  const live = processor.current();
  if (of === undefined || live === undefined) return false;
  return hasEnded(processor) || canonical(parentLink(live.identity)) !== canonical(of);
}

function hasEnded(processor: Processor): boolean {
  return processor.current()?.machine.snapshot.status !== "active";
}

function isProblem(error: unknown, name: ProblemName): boolean {
  return error instanceof ProblemError && error.problem.type.endsWith(`:${name}`);
}
