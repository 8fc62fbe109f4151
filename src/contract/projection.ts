import type { StateValue } from "xstate";
import type { Incident } from "./view.ts";

/** What of an instance's context the list can be searched by. */
export type Attributes = Record<string, string | number | boolean>;

/** Whose it is stands among the attributes, under a name that no author can give one. */
export const OWNER = "$owner";

/** Something that needs a person, as the list shows it: also that an instance can't be read at all. */
export interface ListedIncident {
  /** What operations name it by. */
  id?: string;
  kind: Incident["kind"];
  what: string;
  error: string;
  /** The request that mends it, once its cause is gone. */
  mend: string;
}

/**
 * What the list is told of an instance. (epoch, seq, revision) only grows, so that what comes late,
 * twice or in another order does no harm. Times are milliseconds since the epoch.
 */
export interface Projection {
  /** The Durable Object's id, in hex: what the list knows the instance by, and what wakes it. */
  object: string;
  tenant: string;
  workflow: string;
  id: string;
  jurisdiction: string | null;
  epoch: number;
  seq: number;
  /** Incidents come and go without anything happening to the instance. */
  revision: number;
  version: string;
  status: string;
  /** Null where it is unknown, or too large to list. */
  state: StateValue | null;
  /** The path of every active state, those around it too: `bakePizza`, `bakePizza.pizzaInOven`. */
  states: string[];
  attributes: Attributes;
  incidents: ListedIncident[];
  /** When the instance next has something to do by itself. */
  due: number | null;
  createdAt: number;
  updatedAt: number;
}
