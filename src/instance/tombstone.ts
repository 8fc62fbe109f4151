import { createHash, randomBytes } from "node:crypto";
import { objectName } from "../contract/address.ts";
import type { Identity } from "./store.ts";
import type { Tables } from "./tables.ts";

/** What is left of an erased instance: enough to know that its id was used, nothing of what it was. */
export interface Tombstone {
  tenant: string;
  workflow: string;
  jurisdiction: string | null;
  /** The last epoch it had. */
  epoch: number;
  salt: string;
  /** SHA-256 of salt and name: says that it is this one's, without naming it. */
  hash: string;
  /** Milliseconds since the epoch. */
  erasedAt: number;
  /** Whether what it kept elsewhere (payloads, archive) is still to be deleted. */
  hasLeftovers: boolean;
}

const SCHEMA = `CREATE TABLE tombstone (
  one INTEGER PRIMARY KEY, tenant TEXT NOT NULL, workflow TEXT NOT NULL, jurisdiction TEXT,
  epoch INTEGER NOT NULL, salt TEXT NOT NULL, hash TEXT NOT NULL, erased_at INTEGER NOT NULL,
  leftovers INTEGER NOT NULL)`;

export function tombstoneOf(identity: Identity, now: number): Tombstone {
  const { tenant, workflow, jurisdiction, epoch } = identity;
  const salt = randomBytes(16).toString("base64url");
  const hash = createHash("sha256")
    .update(`${salt} ${objectName(identity)}`)
    .digest("base64url");
  return {
    ...{ tenant, workflow, jurisdiction, epoch, salt, hash },
    erasedAt: now,
    hasLeftovers: true,
  };
}

export class Tombstones {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  read(): Tombstone | null {
    if (!this.#tables.has("tombstone")) return null;
    const { leftovers, ...row } = this.#tables.sql
      .exec<
        Record<string, SqlStorageValue> & Omit<Tombstone, "hasLeftovers"> & { leftovers: number }
      >(
        `SELECT tenant, workflow, jurisdiction, epoch, salt, hash, erased_at AS erasedAt, leftovers
           FROM tombstone`,
      )
      .one();
    return { ...row, hasLeftovers: leftovers === 1 };
  }

  write({ tenant, workflow, jurisdiction, epoch, salt, hash, erasedAt, hasLeftovers }: Tombstone) {
    this.#tables.ensure("tombstone", SCHEMA);
    this.#tables.sql.exec(
      "INSERT OR REPLACE INTO tombstone VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[tenant, workflow, jurisdiction, epoch, salt, hash, erasedAt, hasLeftovers ? 1 : 0],
    );
  }

  /** Forgets every other table, so that the database says nothing more even before it is deleted. */
  clearAllElse(): void {
    const found = this.#tables.sql
      .exec<{ name: string; type: string }>(
        `SELECT name, type FROM sqlite_master
           WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'`,
      )
      .toArray();
    for (const { name, type } of found) {
      if (name !== "tombstone") this.#tables.sql.exec(`DROP ${type} ${name}`);
    }
    this.#tables.forget();
  }
}
