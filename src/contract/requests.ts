import type { Address } from "./address.ts";
import type { Origin } from "./attributes.ts";
import type { Caller } from "./caller.ts";
import type { Problem } from "./problem.ts";
import type { EventReply, FirstAnswer, JournalEntry, MomentView, Outcome, View } from "./view.ts";

/** An event from outside. */
export interface IncomingEvent {
  type: string;
  data?: unknown;
}

/** What is asked of an instance. `address` is checked by the object against its own name. */
export interface InstanceRequest {
  address: Address;
  caller: Caller;
}

export interface StartRequest extends InstanceRequest, Origin {
  input: unknown;
  event?: IncomingEvent;
  /** Of the body as it was sent: a repeated start must be the same one. */
  fingerprint: string;
  /** The instance that starts this one and waits for its outcome. */
  parent?: ParentLink;
  /** When it is to begin, in milliseconds since the epoch; at once where it is left out. */
  startAt?: number;
}

export interface EraseRequest extends InstanceRequest {
  /** Even if it can't be read, or messages are still to be delivered. */
  force?: boolean;
}

export interface MomentRequest extends InstanceRequest {
  seq: number;
}

/** An actor of an instance that is another instance: where the outcome goes. */
export interface ParentLink {
  workflow: string;
  id: string;
  key: number;
  epoch: number;
}

export interface SendRequest extends InstanceRequest, Origin {
  event: IncomingEvent;
  /** What a repeat is known by. The same key with another event is refused. */
  dedupe?: string;
  /** It came over a queue: its sender waits for no answer, and can't be told of a bad moment. */
  brokered?: boolean;
}

/** How another instance came to its end. */
export type Ending = { output: unknown } | { error: { name: string; message: string } };

/** What one instance sends another; not yet checked against the workflow's schemas. */
export type Letter = InstanceRequest & { hops: number; trace?: string } & (
    | {
        kind: "start";
        input: unknown;
        event?: { type: string; data?: unknown };
        fingerprint: string;
        parent?: ParentLink;
      }
    | {
        kind: "send";
        event: { type: string; data?: unknown };
        dedupe: string;
        /** Only for the instance that was started as this actor, while it runs. */
        of?: ParentLink;
      }
    | { kind: "outcome"; of: ParentLink; ending: Ending }
  );

export interface HistoryRequest extends InstanceRequest {
  /** Entries with a larger seq. */
  after: number;
  /** At most 1,000. */
  limit: number;
}

/** A request to the object itself: what RPC can't carry. */
export const STREAM_PATH = "/stream";

export interface WatchRequest extends InstanceRequest {
  /** The last seq that the watcher has; null for none. */
  after: number | null;
  /** Of which epoch that was, where the watcher says so. */
  epoch?: number;
  /** When the watcher's credentials end, in milliseconds since the epoch: then the socket is closed. */
  until: number;
  /** The place that the tenant's object keeps for the socket. */
  socket: string;
  /** Where it was opened by a ticket: that is good once. */
  ticket?: { id: string; expires: number };
}

/**
 * An instance's answer. Its value is JSON text, made once where it is known: most of it goes out over
 * HTTP as it is. Problems travel as data, since an error's class doesn't survive RPC.
 */
export type Reply<Value, More = object> =
  ({ ok: true; json: Json<Value> } & More) | { ok: false; problem: Problem };

/** The JSON text of a `Value`. */
type Json<Value> = string & { readonly of?: Value };

export type StartReply = Reply<View, { created: boolean }>;
/** What became of an event of many: no view, which nobody would look at. */
export type Receipt =
  | { ok: true; outcome: Outcome; epoch: number; seq: number; first?: FirstAnswer }
  | { ok: false; problem: Problem };

/** `deferred`: it is kept, not yet applied. */
export type SendReply = Reply<EventReply, { deferred?: true }>;
export type GetReply = Reply<View>;
export type MomentReply = Reply<MomentView>;
export type EraseReply = Reply<{
  workflow: string;
  id: string;
  status: "erased";
  operation: object;
}>;
export type HistoryReply = Reply<JournalEntry[], { next: number | null }>;
