import type { Caller } from "../../contract/caller.ts";
import type { OperationResult } from "../../contract/operations.ts";
import { refusal, type ProblemError } from "../../contract/problem.ts";
import type { Live } from "../live.ts";
import type { Processor } from "../processor.ts";

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
    credential: caller.credential,
    hops: 0,
  };
}
