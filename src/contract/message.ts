import type { Address } from "./address.ts";

/** What leaves an instance, or a service that speaks about one: a CloudEvent in the making. */
export interface Message {
  /** Who speaks: the instance, or a service about it. */
  source: string;
  /** The same on every repeat. */
  id: string;
  type: string;
  /** Left out where there is none. */
  data?: unknown;
  /** Milliseconds since the epoch; the same on every repeat. */
  time: number;
  about: Address;
  jurisdiction?: DurableObjectJurisdiction | undefined;
  /** W3C `traceparent` of what led here. */
  trace?: string | undefined;
}
