import type { Problem } from "../contract/problem.ts";
import type { EventReply, JournalEntry, View } from "../contract/view.ts";

export interface TestEvent {
  type: string;
  data?: unknown;
}

/** What an event was answered: the view with its outcome, or a problem. */
export type Answer = { ok: true; reply: EventReply } | { ok: false; problem: Problem };

/** One instance under test. The same calls drive it in plain Node and in workerd. */
export interface TestInstance {
  /** Starts it; once more is answered as a repeat would be. */
  start(options?: { input?: unknown; event?: TestEvent }): Promise<View>;
  /** @param key repeats with the same key are applied once */
  send(event: TestEvent | string, key?: string): Promise<Answer>;
  view(): Promise<View>;
  history(): Promise<JournalEntry[]>;
  /** Lets time pass, ringing the alarm whenever it is due. */
  advance(milliseconds: number): Promise<void>;
  /** Forgets everything that isn't stored, as an eviction or a deployment does. */
  restart(): Promise<void>;
  /** Lets what was started come as far as it gets without time passing. */
  settle(): Promise<void>;
}

export function asEvent(event: TestEvent | string): TestEvent {
  return typeof event === "string" ? { type: event } : event;
}
