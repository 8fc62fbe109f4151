import type { Reply, InstanceRequest } from "./requests.ts";
import type { View } from "./view.ts";

/** What an operator does to an instance; `docs/operations.md` says what each does to what. */
export type Operation =
  | { name: "pause" }
  | { name: "resume" }
  /** @property data of the event that is the chart's own way out */
  | { name: "cancel"; data?: unknown }
  | { name: "terminate" }
  /** @property incident its id; all that is stuck where it is left out */
  | { name: "retry"; incident?: string }
  /** @property incident of a parked message, which is given up */
  | { name: "discard"; incident: string }
  /** @property shiftTimers whether deadlines move by the time that has passed since, instead of firing now */
  | { name: "rewind"; to: number; shiftTimers?: boolean }
  /** @property to the newest version where it is left out */
  | { name: "migrate"; to?: string };

type OperationName = Operation["name"];

export interface OperationRequest extends InstanceRequest {
  operation: Operation;
  /** For the journal. */
  reason?: string;
}

/** What an operation has done. */
export interface OperationResult {
  name: OperationName | "archive";
  /** False where there was nothing to do: it was so already. */
  changed: boolean;
  [detail: string]: unknown;
}

export interface OperationView extends View {
  operation: OperationResult;
}

/** `POST …/archive`: answers as other operations do, when what was older is stored. */
export interface ArchiveRequest extends InstanceRequest {
  /** Entries that stay in the journal. */
  keep: number;
}

export type OperationReply = Reply<OperationView>;
