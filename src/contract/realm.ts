import type { Caller } from "./caller.ts";
import { refusal } from "./problem.ts";

/** Where the platform can keep data (Durable Objects, "Data location"). */
export const jurisdictions = ["eu", "fedramp", "fedramp-high", "us"] as const;

declare const made: unique symbol;

/**
 * Whose data: a tenant's, in one jurisdiction or, without it, anywhere. All storage is reached through one
 * (objects.ts, buckets.ts, realm-rows.ts), and only the functions of this file make one.
 */
export interface Realm extends Whose {
  readonly [made]: true;
}

/** As a message, a row or another object names it. */
export interface Whose {
  readonly tenant: string;
  readonly jurisdiction?: DurableObjectJurisdiction | null | undefined;
}

const MAX_TENANT = 100;

/** What every store keeps as it is: none cuts it off, replaces part of it, or takes it for another. */
function isTenant(tenant: unknown): tenant is string {
  if (typeof tenant !== "string" || tenant === "" || tenant.length > MAX_TENANT) return false;
  // SQLite's texts end at U+0000, and lone surrogates are no text at all.
  return tenant.isWellFormed() && !tenant.includes("\0");
}

/**
 * Where a caller's data is, by their credentials.
 *
 * @throws ProblemError unauthenticated where these name no tenant
 */
export function realmOf(caller: Caller): Realm {
  const realm = findRealm(caller);
  if (realm !== null) return realm;
  throw refusal(
    "unauthenticated",
    `The credentials must name a tenant, of at most ${MAX_TENANT} characters, and no jurisdiction but ${jurisdictions.join(", ")}.`,
  );
}

/**
 * For what this deployment does by itself: `whose` is what an object has checked or stored of itself, never
 * what a request says.
 *
 * @throws Error where it names nobody
 */
export function realmOfOwn(whose: Whose): Realm {
  const realm = findRealm(whose);
  if (realm !== null) return realm;
  throw new Error(`${JSON.stringify(whose)} names no tenant and jurisdiction.`);
}

/** As `realmOfOwn`, for what came by a queue or a broker, to which only the deployment's own write. */
export function findRealm(whose: unknown): Realm | null {
  const { tenant, jurisdiction } = (whose ?? {}) as Record<keyof Whose, unknown>;
  if (!isTenant(tenant)) return null;
  if (jurisdiction === undefined || jurisdiction === null) return { tenant } as Realm;
  if (!(jurisdictions as readonly unknown[]).includes(jurisdiction)) return null;
  return { tenant, jurisdiction } as unknown as Realm;
}
