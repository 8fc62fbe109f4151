import { isOperator, type Caller } from "../../contract/caller.ts";
import type { OperationRequest, OperationResult } from "../../contract/operations.ts";
import { refusal, type ProblemError } from "../../contract/problem.ts";
import type { Live } from "../live.ts";
import type { Processor } from "../processor.ts";
import { cancel } from "./cancel.ts";
import { migrate } from "./migrate.ts";
import { pause, resume } from "./pause.ts";
import { retry } from "./retry.ts";
import { rewind } from "./rewind.ts";
import { terminate } from "./terminate.ts";

/** What an operation is given to work with. */
export interface Operating {
  processor: Processor;
  live: Live;
  caller: Caller;
  reason: string | undefined;
  now: number;
}

/** What is done to what is stored: the deployment may not be able to take it as an instance. */
export type OperatingOnStored = Omit<Operating, "live">;

/** What an operation has done beside its name. */
export type Done = Omit<OperationResult, "name">;

/**
 * Carries out what an operator wants, each operation in one transaction.
 *
 * @throws ProblemError forbidden, operation-not-possible, and what the operation itself throws
 */
export function operate(
  processor: Processor,
  { operation, caller, reason }: OperationRequest,
  now: number,
): OperationResult {
  if (!isOperator(caller)) {
    throw refusal("forbidden", `"${operation.name}" is for operators.`);
  }
  const stored: OperatingOnStored = { processor, caller, reason, now };
  const carryOut = (): Done => {
    if (operation.name === "migrate") return migrate(stored, operation.to);
    processor.fireTimers(now);
    const around: Operating = { ...stored, live: processor.current()! };
    switch (operation.name) {
      case "pause":
        return pause(around);
      case "resume":
        return resume(around);
      case "cancel":
        return cancel(around, operation.data);
      case "terminate":
        return terminate(around);
      case "retry":
        return retry(around, operation.incident);
      case "rewind":
        return rewind(around, operation);
    }
  };
  return { name: operation.name, ...carryOut() } as OperationResult;
}

export const NOTHING_TO_DO: Done = { changed: false };

/** Why an operation can't be done to this instance as it is. */
export function notPossible({ live }: Operating, why: string): ProblemError {
  const { workflow, id } = live.identity;
  return refusal("operation-not-possible", `${workflow}/${id} ${why}`);
}

/** What an operation is journalled as. */
export function operated(
  { caller, reason }: OperatingOnStored,
  type: string,
  details: object = {},
) {
  const data = { ...details, ...(reason === undefined ? {} : { reason }) };
  return {
    type: `durachart.${type}`,
    ...(Object.keys(data).length === 0 ? {} : { data }),
    outcome: "applied" as const,
    by: caller.subject,
    hops: 0,
  };
}
