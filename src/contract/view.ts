import type { StateValue } from "xstate";

/** What has become of an event. */
export type Outcome = "applied" | "ignored" | "duplicate";

/** Something in an instance that needs a person. */
export interface Incident {
  kind: "blocked" | "exhausted";
  /** The timer, actor or message that is stuck. */
  what: string;
  error: string;
}

/** Work after a commit that has failed so far and will be tried again. */
export interface Retrying {
  /** The actor, action or emitted event. */
  what: string;
  /** Tries begun. */
  attempt: number;
  nextTry: string;
  error: string;
}

/** An event type that has a transition now. `depends`: its guards decide, on the event's data. */
export interface AllowedEvent {
  type: string;
  guard: "passes" | "depends";
}

/** An instance as its callers see it. Times are ISO 8601, in UTC. */
export interface View {
  id: string;
  workflow: string;
  version: string;
  status: "active" | "done" | "error" | "stopped";
  /** XState's own value: a string, or nested objects. */
  state: StateValue;
  /** The innermost active state's `meta.message`, for people. */
  message?: string;
  context: Record<string, unknown>;
  tags: string[];
  epoch: number;
  seq: number;
  allowed: AllowedEvent[];
  /** Deadlines that are running. */
  timers: { event: string; due: string }[];
  retrying: Retrying[];
  incidents: Incident[];
  createdAt: string;
  updatedAt: string;
  output?: unknown;
  error?: unknown;
}

/** What an event did to the state. A part that stayed the same is absent. */
export interface Changes {
  status?: View["status"];
  context?: { set: Record<string, unknown>; unset: string[] };
}

/** A journal entry. */
export interface JournalEntry {
  epoch: number;
  seq: number;
  at: string;
  event: { type: string; data?: unknown };
  outcome: Outcome;
  /** The caller's subject, or `timer` or `actor`. */
  by: string;
  /** The state after the event. */
  state: StateValue;
  changes: Changes;
}

export interface EventReply extends View {
  outcome: Outcome;
  /** For a duplicate: what became of the first. */
  first?: { outcome: Outcome; seq: number };
}
