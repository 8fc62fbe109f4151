import { isInstanceId } from "../contract/address.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import type { IncomingEvent, Letter } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Processor } from "./processor.ts";
import { checkMessage } from "./shape.ts";
import { validate, validateEvent } from "./validate.ts";

/** @throws ProblemError as `start` and `send` do, and where the workflow's schemas don't take it */
export function takeLetter(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  processor: Processor,
  letter: Letter,
  now: number,
): void {
  const { address, caller, hops } = letter;
  if (letter.kind === "outcome") {
    // Nobody waiting is no error: the actor was stopped, or has heard it before.
    processor.takeOutcome(letter.of, letter.ending, now);
    return;
  }
  const workflow = workflows.get(address.workflow);
  if (workflow === undefined) {
    throw refusal("unknown-workflow", `There is no workflow "${address.workflow}".`);
  }
  const valid = (event: { type: string; data?: unknown }): IncomingEvent => {
    checkMessage(event);
    return validateEvent(workflow, event.type, event.data);
  };
  if (letter.kind === "send") {
    const { dedupe } = letter;
    const event = valid(letter.event);
    processor.send({ address, caller, event, dedupe, hops, brokered: true }, now);
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
    processor.start(
      {
        ...{ address, caller, fingerprint, hops },
        input: workflow.input === undefined ? input : validate(workflow.input, input, "input"),
        ...(letter.event === undefined ? {} : { event: valid(letter.event) }),
        ...(parent === undefined ? {} : { parent }),
      },
      now,
    );
  } catch (error) {
    // Without a wish to hear of its end, that it is there already is as good as having started it.
    const isThere = error instanceof ProblemError && error.problem.type.endsWith(":id-in-use");
    if (!isThere || parent !== undefined) throw error;
  }
}
