import type { OperationRequest, OperationResult } from "../../contract/operations.ts";
import type { Processor } from "../processor.ts";
import { cancel } from "./cancel.ts";
import { discard } from "./discard.ts";
import { migrate } from "./migrate.ts";
import type { Done, Operating, OperatingOnStored } from "./operating.ts";
import { pause, resume } from "./pause.ts";
import { retry } from "./retry.ts";
import { rewind } from "./rewind.ts";
import { terminate } from "./terminate.ts";

/**
 * Carries out what an operator wants, each operation in one transaction.
 *
 * @throws ProblemError operation-not-possible, and what the operation itself throws
 */
export function operate(
  processor: Processor,
  { operation, caller, reason }: OperationRequest,
  now: number,
): OperationResult {
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
      case "discard":
        return discard(around, operation.incident);
      case "rewind":
        return rewind(around, operation);
    }
  };
  return { name: operation.name, ...carryOut() } as OperationResult;
}
