import type { Caller } from "../contract/caller.ts";
import type { Tables } from "./tables.ts";

/** An event that came while it could not be looked at; as it came, not yet checked. */
export interface HeldRow {
  /** Its entry in the journal. */
  seq: number;
  /** When it came, in milliseconds since the epoch. */
  at: number;
  type: string;
  /** JSON, or null where the event carries no data. */
  data: string | null;
  caller: Caller;
  hops: number;
}

const SCHEMA = `CREATE TABLE held (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, data TEXT,
  caller TEXT NOT NULL, hops INTEGER NOT NULL)`;

/** What came while the instance was paused, or of a version that the deployment lacks. */
export class HeldEvents {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  all(): HeldRow[] {
    if (!this.#tables.has("held")) return [];
    return this.#tables.sql
      .exec<Record<string, SqlStorageValue> & Omit<HeldRow, "caller"> & { caller: string }>(
        "SELECT seq, at, type, data, caller, hops FROM held ORDER BY seq",
      )
      .toArray()
      .map((row) => ({ ...row, caller: JSON.parse(row.caller) as Caller }));
  }

  add({ seq, at, type, data, caller, hops }: HeldRow): void {
    this.#tables.ensure("held", SCHEMA);
    this.#tables.sql.exec(
      "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?)",
      ...[seq, at, type, data, JSON.stringify(caller), hops],
    );
  }

  remove(seq: number): void {
    this.#tables.sql.exec("DELETE FROM held WHERE seq = ?", seq);
  }
}
