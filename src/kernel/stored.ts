import type { AnyMachineSnapshot } from "xstate";
import type { ContextTexts } from "./changes.ts";
import type { AnySnapshot } from "./xstate.ts";

/**
 * A child as its parent's state names it. Promise actors have no state worth a row of their own:
 * theirs stands here. The others have a `StoredActor`.
 */
export interface StoredChild {
  key: number;
  /** Of a promise actor only. */
  src?: string;
  /** Where it is not the one that its parent's state has it under. */
  id?: string;
  systemId?: string;
  sync?: boolean;
  status?: AnySnapshot["status"];
  output?: unknown;
  error?: unknown;
}

/** A machine's state as it is stored: plain JSON. */
export interface StoredMachine {
  value: AnyMachineSnapshot["value"];
  status: AnySnapshot["status"];
  context: Record<string, unknown>;
  output?: unknown;
  error?: unknown;
  historyValue?: Record<string, { id: string }[]>;
  children: Record<string, StoredChild>;
  /** Promise actors that run though another stands in their place. */
  displaced?: StoredChild[];
}

/** The instance's own machine. */
export interface StoredState extends StoredMachine {
  nextKey: number;
}

/** A child machine, or transition logic, as its row holds it. */
export interface StoredActor {
  key: number;
  id: string;
  src: string;
  parent: number;
  systemId?: string;
  sync?: boolean;
  machine?: StoredMachine;
  /** The state of transition logic, whatever it is made of. */
  snapshot?: AnySnapshot;
}

/** What a state is beside its value, its status and its context. */
export type StoredRest = Omit<StoredMachine, "value" | "status" | "context">;

/** A state as it is stored: as JSON texts, part by part, since it is compared as such. */
export interface Stored {
  value: StoredMachine["value"];
  status: StoredMachine["status"];
  nextKey: number;
  /** JSON of `StoredRest`. */
  rest: string;
  texts: ContextTexts;
  /** JSON of each `StoredActor` that is new or changed; null where it is gone. */
  actors: ReadonlyMap<number, string | null>;
}
