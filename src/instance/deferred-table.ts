import type { Tables } from "./tables.ts";

type Row = Record<string, SqlStorageValue>;

const SCHEMA = `CREATE TABLE deferred (
    seq INTEGER PRIMARY KEY, type TEXT NOT NULL, data TEXT, by TEXT NOT NULL,
    hops INTEGER NOT NULL, until INTEGER NOT NULL)`;

/** An event kept until the chart has a use for it. */
export interface DeferredRow {
  /** Its entry in the journal. */
  seq: number;
  type: string;
  /** JSON, or null where the event carries no data. */
  data: string | null;
  by: string;
  hops: number;
  /** When it is filed as late; milliseconds since the epoch. */
  until: number;
}

/** Events that wait for a state that takes them. */
export class DeferredTable {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  all(): DeferredRow[] {
    if (!this.#tables.has("deferred")) return [];
    return this.#tables.sql
      .exec<Row & DeferredRow>("SELECT seq, type, data, by, hops, until FROM deferred ORDER BY seq")
      .toArray();
  }

  insert(row: DeferredRow): void {
    this.#tables.ensure("deferred", SCHEMA);
    this.#tables.sql.exec(
      "INSERT INTO deferred VALUES (?, ?, ?, ?, ?, ?)",
      row.seq,
      row.type,
      row.data,
      row.by.toWellFormed(),
      row.hops,
      row.until,
    );
  }

  delete(seq: number): void {
    this.#tables.sql.exec("DELETE FROM deferred WHERE seq = ?", seq);
  }
}
