import type { Address } from "./address.ts";
import type { Caller } from "./caller.ts";
import type { Problem } from "./problem.ts";
import type { EventReply, JournalEntry, View } from "./view.ts";

/** An event from outside, its data already checked against the workflow's schema. */
export interface IncomingEvent {
  type: string;
  data?: unknown;
}

/** What is asked of an instance. `address` is checked by the object against its own name. */
export interface InstanceRequest {
  address: Address;
  caller: Caller;
}

export interface StartRequest extends InstanceRequest {
  input: unknown;
  event?: IncomingEvent;
  /** Of the body as it was sent: a repeated start must be the same one. */
  fingerprint: string;
}

export interface SendRequest extends InstanceRequest {
  event: IncomingEvent;
  /** The key a repeat is known by, and a hash of the event it belongs to. */
  dedupe?: { key: string; fingerprint: string };
}

export interface HistoryRequest extends InstanceRequest {
  /** Entries with a larger seq. */
  after: number;
  /** At most 1,000. */
  limit: number;
}

/** Problems travel as data: an error's class doesn't survive RPC. */
export type Reply<Value> = { ok: true; value: Value } | { ok: false; problem: Problem };

export type StartReply = Reply<{ created: boolean; view: View }>;
export type SendReply = Reply<EventReply>;
export type GetReply = Reply<View>;
export type HistoryReply = Reply<{ entries: JournalEntry[]; more: boolean }>;
