import type { StateValue } from "xstate";
import type { Attributes } from "./attributes.ts";

/**
 * What has become of an event. `late` and `refused` are for events that were kept: the state had no
 * use for them in time; or, when they could be looked at, they were not good.
 */
export type Outcome = "applied" | "ignored" | "duplicate" | "deferred" | "late" | "refused";

/** Something in an instance that needs a person. */
export interface Incident {
  /** What `retry` names it by. */
  id: string;
  kind: "blocked" | "exhausted" | "looping" | "quarantined" | "long-journal" | "journal-full";
  /** The timer, actor or message that is stuck; the limit that stopped a loop; how long the journal is. */
  what: string;
  error: string;
  /** The request that mends it, once its cause is gone. */
  mend: string;
}

/** Why it went wrong, and what mends it, is for those who see everything. */
type ShownIncident = Omit<Incident, "error" | "mend"> & Partial<Incident>;

/** Work after a commit that has failed so far and will be tried again. */
export interface Retrying {
  /** The actor, action or emitted event. */
  what: string;
  /** Tries begun. */
  attempt: number;
  nextTry: string;
  /** For those who see everything. */
  error?: string;
}

/** An actor of the chart's that is alive, or has come to its end in a state that is still active. */
export interface ActorView {
  /** Its own id, after those of the actors above it: `payment/card`. */
  id: string;
  /** The name of its logic. */
  src: string;
  status: MachineStatus;
  /** Of a child machine. */
  state?: StateValue;
  /** Where the actor is another instance. */
  instance?: { workflow: string; id: string };
}

/**
 * An event type that has a transition in the present state, and what becomes of it now: it `passes` or
 * `fails` whatever it carries, or that `depends` on what it carries.
 */
export interface AllowedEvent {
  type: string;
  guard: "passes" | "fails" | "depends";
  /** The path of the JSON Schema of its data, or with `expand=schema` that itself; absent where there is none. */
  schema?: string | object;
}

/** XState's own. */
export type MachineStatus = "active" | "done" | "error" | "stopped";

/** An instance as its callers see it, each what their roles may see. Times are ISO 8601, in UTC. */
export interface View {
  id: string;
  workflow: string;
  version: string;
  /** `quarantined`: the deployment can't run it; `scheduled`: it has no state yet. */
  status: MachineStatus | "paused" | "quarantined" | "scheduled";
  /** When it is to begin. */
  startAt?: string;
  /** Since when and by whom it is held. */
  paused?: { since: string; by: string };
  /** XState's own value: a string, or nested objects. */
  state: StateValue;
  /** The innermost active state's `meta.message`, for people. */
  message?: string;
  context: Record<string, unknown>;
  tags: string[];
  epoch: number;
  seq: number;
  allowed: AllowedEvent[];
  actors: ActorView[];
  /** Events that are kept until the chart has a use for them. */
  deferred: { type: string; seq: number; until: string }[];
  /** Events that wait until the instance can be looked at again. */
  held: { type: string; seq: number }[];
  /** The next deadlines, at most 20 of the `timerCount` that are running. */
  timers: { event: string; due: string }[];
  timerCount: number;
  /** The instance that started this one. */
  parent?: { workflow: string; id: string };
  /** Actors and messages that are committed and not yet done. */
  pending: number;
  retrying: Retrying[];
  incidents: ShownIncident[];
  createdAt: string;
  updatedAt: string;
  output?: unknown;
  error?: unknown;
}

/** What an instance was after an entry of its history. */
export type MomentView = Pick<
  View,
  | "id"
  | "workflow"
  | "version"
  | "status"
  | "state"
  | "message"
  | "context"
  | "tags"
  | "epoch"
  | "seq"
  | "actors"
  | "timers"
  | "timerCount"
  | "output"
  | "error"
> & { at: string };

/** What an event did to the state. A part that stayed the same is absent. */
export interface Changes {
  status?: MachineStatus;
  context?: { set: Record<string, unknown>; unset: string[] };
  /** Child machines and transition logics that are new or changed, by key; null where gone. */
  actors?: Record<string, unknown>;
  /** Why an event that was kept was refused. */
  why?: string;
}

/** A journal entry. */
export interface JournalEntry {
  epoch: number;
  seq: number;
  at: string;
  event: { type: string; data?: unknown; attributes?: Attributes };
  outcome: Outcome;
  /** The caller's subject, or `timer` or `actor`; `somebody` for those who may not know. */
  by: string;
  /** What the caller proved itself by. For operators. */
  credential?: string;
  /** The state after the event. */
  state: StateValue;
  changes: Changes;
}

export interface EventReply extends View {
  outcome: Outcome;
  /** For a duplicate: what became of the first. */
  first?: FirstAnswer;
}

/** The answer that a repeated event was given before. */
export interface FirstAnswer {
  outcome: Outcome;
  seq: number;
  /** Where the history has begun again since. */
  epoch?: number;
}
