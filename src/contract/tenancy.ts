import { nameOf } from "./address.ts";
import { objectOfWholeTenant } from "./objects.ts";
import type { Realm } from "./realm.ts";

/** What one tenant may take up. */
export interface TenantLimits {
  /** Requests a minute, over HTTP and by service binding. Never more. */
  requestsPerMinute: number;
  /** Events a minute that callers send, of batches and sockets each. Never more. */
  eventsPerMinute: number;
  /** Instances that have not come to their end: about as many, as the list knows. */
  liveInstances: number;
  /** WebSockets that are open: about as many. */
  sockets: number;
}

/** What is counted by the minute. */
export type Metered = "requests" | "events";

/** Milliseconds that a count lasts. */
export const WINDOW = 60_000;

/** Some of what is left, to be used up without asking again. */
export interface Lease {
  granted: number;
  /** What the tenant has left after it, in this window. */
  remaining: number;
  /** When the window ends, and the lease with it; milliseconds since the epoch. */
  resets: number;
}

/** Whether one more may begin. */
export type Place = { granted: true } | { granted: false; taken: number };

/** What the object that keeps a tenant's counts is asked. */
export interface TenantCalls {
  lease(tenant: string, kind: Metered, want: number, limit: number): Promise<Lease>;
  /** One more instance. */
  start(tenant: string, limit: number): Promise<Place>;
  /** One more socket, which ends at the latest at `until`. */
  open(tenant: string, socket: string, until: number, limit: number): Promise<Place>;
  /** A socket has ended. */
  close(tenant: string, socket: string): Promise<void>;
}

/** The object's name: one a tenant. */
export function tenantName(tenant: string): string {
  return nameOf(tenant);
}

/**
 * The object of a tenant; undefined where the class is not bound. In no jurisdiction: it holds numbers, and
 * the limits are the tenant's as a whole.
 */
export function tenantObject(env: unknown, realm: Realm): TenantCalls | undefined {
  const { TENANTS } = (env ?? {}) as { TENANTS?: DurableObjectNamespace };
  if (TENANTS === undefined) return undefined;
  return objectOfWholeTenant(TENANTS, realm) as unknown as TenantCalls;
}
