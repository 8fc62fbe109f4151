import { createHash, randomBytes } from "node:crypto";
import { objectName, type Address } from "../contract/address.ts";
import type { Sealing } from "../audit/sealing.ts";
import type { Caller } from "../contract/caller.ts";
import type { Identity } from "./store.ts";
import type { Tables } from "./tables.ts";

/** What is left of an erased instance: enough to know that its id was used, nothing of what it was. */
export interface Tombstone {
  tenant: string;
  workflow: string;
  jurisdiction: DurableObjectJurisdiction | null;
  /** The last epoch it had. */
  epoch: number;
  salt: string;
  /** SHA-256 of salt and name: says that it is this one's, without naming it. */
  hash: string;
  /** Milliseconds since the epoch. */
  erasedAt: number;
  /** Who had it erased, and what they proved themselves by; `durachart` where its time was over. */
  by: string;
  credential: string | null;
  /** Of all that, where there is a key. */
  seal: string | null;
  /** Whether what it kept elsewhere (payloads, archive) is still to be deleted. */
  hasLeftovers: boolean;
}

type Burial = Pick<Tombstone, "by" | "credential" | "seal">;

const SCHEMA = `CREATE TABLE tombstone (
  one INTEGER PRIMARY KEY, tenant TEXT NOT NULL, workflow TEXT NOT NULL, jurisdiction TEXT,
  epoch INTEGER NOT NULL, salt TEXT NOT NULL, hash TEXT NOT NULL, erased_at INTEGER NOT NULL,
  leftovers INTEGER NOT NULL)`;

/** Apart from the tombstone, which older deployments write too. */
const BURIAL = `CREATE TABLE burial (
  one INTEGER PRIMARY KEY, by TEXT NOT NULL, credential TEXT, seal TEXT)`;

/** What a tombstone's seal is of: that it has no leftovers any more changes nothing. */
export function sealedPart(tombstone: Tombstone): (string | number | null)[] {
  const { jurisdiction, epoch, salt, hash, erasedAt, by, credential } = tombstone;
  return [jurisdiction, epoch, salt, hash, erasedAt, by, credential];
}

/** Who its seal is of: the id is not told. */
export function sealedAs({ tenant, workflow, hash }: Tombstone): Address {
  return { tenant, workflow, id: hash };
}

export function tombstoneOf(
  identity: Identity,
  now: number,
  sealing: Sealing,
  caller?: Caller,
): Tombstone {
  const { tenant, workflow, jurisdiction, epoch } = identity;
  const salt = randomBytes(16).toString("base64url");
  const hash = createHash("sha256")
    .update(`${salt} ${objectName(identity)}`)
    .digest("base64url");
  const tombstone: Tombstone = {
    ...{ tenant, workflow, jurisdiction, epoch, salt, hash },
    erasedAt: now,
    by: caller?.subject ?? "durachart",
    credential: caller?.credential ?? null,
    seal: null,
    hasLeftovers: true,
  };
  const seal = sealing.of(sealedAs(tombstone))?.fields("tombstone", sealedPart(tombstone)) ?? null;
  return { ...tombstone, seal };
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
        Record<string, SqlStorageValue> &
          Omit<Tombstone, "hasLeftovers" | keyof Burial> & { leftovers: number }
      >(
        `SELECT tenant, workflow, jurisdiction, epoch, salt, hash, erased_at AS erasedAt, leftovers
           FROM tombstone`,
      )
      .one();
    return { ...row, ...this.#burial(), hasLeftovers: leftovers === 1 };
  }

  write(tombstone: Tombstone): void {
    const { tenant, workflow, jurisdiction, epoch, salt, hash, erasedAt, hasLeftovers } = tombstone;
    this.#tables.ensure("tombstone", SCHEMA);
    this.#tables.sql.exec(
      "INSERT OR REPLACE INTO tombstone VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[tenant, workflow, jurisdiction, epoch, salt, hash, erasedAt, hasLeftovers ? 1 : 0],
    );
    const { by, credential, seal } = tombstone;
    this.#tables.ensure("burial", BURIAL);
    this.#tables.sql.exec(
      "INSERT OR REPLACE INTO burial VALUES (1, ?, ?, ?)",
      ...[by, credential, seal],
    );
  }

  #burial(): Burial {
    const unknown = { by: "", credential: null, seal: null };
    if (!this.#tables.has("burial")) return unknown;
    const [found] = this.#tables.sql
      .exec<Record<string, SqlStorageValue> & Burial>("SELECT by, credential, seal FROM burial")
      .toArray();
    return found ?? unknown;
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
      if (name !== "tombstone" && name !== "burial") this.#tables.sql.exec(`DROP ${type} ${name}`);
    }
    this.#tables.forget();
  }
}
