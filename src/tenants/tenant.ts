import { DurableObject } from "cloudflare:workers";
import { log } from "../contract/log.ts";
import {
  tenantName,
  WINDOW,
  type Lease,
  type Metered,
  type Place,
  type TenantCalls,
} from "../contract/tenancy.ts";

/** A lease is at most such a part of what is left, so that others find some, too. */
const PART = 16;

/** How long what the list says of the number of instances is believed, in milliseconds. */
const COUNTED_FOR = 10_000;

/** Counts the tenant's live instances; null where nobody knows. */
export type CountLive = (env: unknown, tenant: string) => Promise<number | null>;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS usage (kind TEXT PRIMARY KEY, began INTEGER NOT NULL, used INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS sockets (id TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
`;

/**
 * What one tenant uses up. Counts by the minute are exact: what is leased is written before it is granted, so
 * that all leases of a minute together are never more than the limit. Counts of what is there are about right.
 */
export function tenantClass(countLive: CountLive) {
  return class Tenant extends DurableObject implements TenantCalls {
    readonly #name: string | undefined;
    readonly #sql: SqlStorage;
    #live = 0;
    #liveUntil = -Infinity;

    constructor(context: DurableObjectState, env: unknown) {
      super(context, env as never);
      this.#name = context.id.name;
      this.#sql = context.storage.sql;
      this.#sql.exec(SCHEMA);
    }

    async lease(tenant: string, kind: Metered, want: number, limit: number): Promise<Lease> {
      this.#check(tenant);
      const now = Date.now();
      const began = now - (now % WINDOW);
      const [row] = this.#sql
        .exec<{ began: number; used: number }>("SELECT began, used FROM usage WHERE kind = ?", kind)
        .toArray();
      const used = row?.began === began ? row.used : 0;
      const left = Math.max(0, limit - used);
      const granted = Math.min(left, Math.max(1, Math.min(want, Math.ceil(left / PART))));
      if (granted > 0) {
        this.#sql.exec(
          "INSERT OR REPLACE INTO usage VALUES (?, ?, ?)",
          kind,
          began,
          used + granted,
        );
      }
      return { granted, remaining: left - granted, resets: began + WINDOW };
    }

    async start(tenant: string, limit: number): Promise<Place> {
      this.#check(tenant);
      if (Date.now() >= this.#liveUntil) {
        // Before it is asked: who comes meanwhile counts on what was known.
        this.#liveUntil = Date.now() + COUNTED_FOR;
        this.#live = await this.#counted(tenant);
      }
      if (this.#live >= limit) return { granted: false, taken: this.#live };
      this.#live += 1;
      return { granted: true };
    }

    async open(tenant: string, socket: string, until: number, limit: number): Promise<Place> {
      this.#check(tenant);
      // What was lost with its object ends with its token.
      this.#sql.exec("DELETE FROM sockets WHERE until <= ?", Date.now());
      const { taken } = this.#sql
        .exec<{ taken: number }>("SELECT count(*) AS taken FROM sockets")
        .one();
      if (taken >= limit) return { granted: false, taken };
      this.#sql.exec("INSERT OR REPLACE INTO sockets VALUES (?, ?)", socket, until);
      return { granted: true };
    }

    async close(tenant: string, socket: string): Promise<void> {
      this.#check(tenant);
      this.#sql.exec("DELETE FROM sockets WHERE id = ?", socket);
    }

    async #counted(tenant: string): Promise<number> {
      try {
        return (await countLive(this.env, tenant)) ?? 0;
      } catch (error) {
        log.warn("Live instances could not be counted; those begun since are", { tenant, error });
        return this.#live;
      }
    }

    /** The Worker has found this object by its name; the object makes sure that it is the one meant. */
    #check(tenant: string): void {
      if (this.#name === tenantName(tenant)) return;
      throw new Error("This is another tenant's object.");
    }
  };
}
