import type { StandardSchemaV1 } from "@standard-schema/spec";

/** How what somebody else's system posts becomes an event of an instance. */
export interface HookDefinition<Payload = unknown> {
  /** How the sender signs; by Standard Webhooks where it is left out. */
  signature?: HookSignature;
  /** Schema of the payload, checked before `map` sees it, synchronously. */
  schema: StandardSchemaV1<unknown, Payload>;
  /**
   * Pure. What it throws is an error of ours: the sender is asked to try again.
   *
   * @param request its headers, by lower-case name
   * @returns null for what is of no interest
   */
  map(payload: Payload, request: { headers: Readonly<Record<string, string>> }): HookedEvent | null;
}

export type HookSignature =
  | { scheme: "standard" }
  /**
   * `t=<seconds>,v1=<hex>` in a header, HMAC-SHA256 over `<seconds>.<body>`; several `v1` while the
   * sender rotates its keys. Payment providers have it.
   */
  | { scheme: "timestamped"; header: string };

/** An event, and whose it is. */
export interface HookedEvent {
  workflow: string;
  /** The instance's. */
  id: string;
  type: string;
  data?: unknown;
  /** What repeats are known by: the sender's id of the event. */
  key: string;
}

/** Name → hook, at `POST /hooks/{name}`. */
export type Hooks = Readonly<Record<string, HookDefinition>>;
