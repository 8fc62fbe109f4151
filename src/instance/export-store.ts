import type { JournalRow } from "./store.ts";
import type { Tables } from "./tables.ts";

/** How far transitions were exported. */
export interface ExportCursor {
  epoch: number;
  seq: number;
}

const CURSOR = `CREATE TABLE exported (
  one INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL)`;

const KEPT = `CREATE TABLE unexported (
  epoch INTEGER NOT NULL, seq INTEGER NOT NULL, entry TEXT NOT NULL, PRIMARY KEY (epoch, seq))
  WITHOUT ROWID`;

/** An entry that is to be exported. */
export interface Unexported {
  epoch: number;
  row: JournalRow;
}

/** What is left to export: entries behind the cursor, and those that left the journal before it came to them. */
export class ExportStore {
  readonly #tables: Tables;
  /** Whether this deployment exports at all: otherwise nothing is kept for it. */
  isOn = false;
  #cursor: ExportCursor | null | undefined;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** After a rollback. */
  forget(): void {
    this.#cursor = undefined;
  }

  isBehind({ epoch, seq }: ExportCursor): boolean {
    const cursor = this.#read();
    return cursor?.epoch !== epoch || cursor.seq !== seq || this.#kept(1).length > 0;
  }

  /** Oldest first. */
  next(epoch: number, limit: number): Unexported[] {
    const kept = this.#kept(limit);
    if (kept.length === limit) return kept;
    const rows = this.#tables.sql
      .exec<Record<string, SqlStorageValue> & JournalRow>(
        "SELECT * FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
        this.#after(epoch),
        limit - kept.length,
      )
      .toArray();
    return [...kept, ...rows.map((row) => ({ epoch, row }))];
  }

  /** They are safe where they went. Meanwhile some may have left the journal. */
  sent(through: ExportCursor): void {
    const { sql } = this.#tables;
    if (this.#tables.has("unexported")) {
      const { epoch, seq } = through;
      sql.exec("DELETE FROM unexported WHERE (epoch, seq) <= (?, ?)", epoch, seq);
    }
    this.#tables.ensure("exported", CURSOR);
    sql.exec("INSERT OR REPLACE INTO exported VALUES (1, ?, ?)", through.epoch, through.seq);
    this.#cursor = through;
  }

  /** Entries up to `last` are about to leave the journal: what was not exported is kept aside. */
  keep(epoch: number, last: number): void {
    if (!this.isOn) return;
    const rows = this.#tables.sql
      .exec<Record<string, SqlStorageValue> & JournalRow>(
        "SELECT * FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq",
        this.#after(epoch),
        last,
      )
      .toArray();
    if (rows.length === 0) return;
    this.#tables.ensure("unexported", KEPT);
    for (const row of rows) {
      this.#tables.sql.exec(
        "INSERT OR IGNORE INTO unexported VALUES (?, ?, ?)",
        ...[epoch, row.seq, JSON.stringify(row)],
      );
    }
  }

  #kept(limit: number): Unexported[] {
    if (!this.#tables.has("unexported")) return [];
    return this.#tables.sql
      .exec<{ epoch: number; entry: string }>(
        "SELECT epoch, entry FROM unexported ORDER BY epoch, seq LIMIT ?",
        limit,
      )
      .toArray()
      .map(({ epoch, entry }) => ({ epoch, row: JSON.parse(entry) as JournalRow }));
  }

  /** Of this epoch's journal, what was exported or kept aside. */
  #after(epoch: number): number {
    const cursor = this.#read();
    const exported = cursor?.epoch === epoch ? cursor.seq : 0;
    if (!this.#tables.has("unexported")) return exported;
    const { kept } = this.#tables.sql
      .exec<{ kept: number | null }>(
        "SELECT max(seq) AS kept FROM unexported WHERE epoch = ?",
        epoch,
      )
      .one();
    return Math.max(exported, kept ?? 0);
  }

  #read(): ExportCursor | null {
    if (this.#cursor === undefined) {
      const rows = this.#tables.has("exported")
        ? this.#tables.sql
            .exec<Record<string, SqlStorageValue> & ExportCursor>("SELECT epoch, seq FROM exported")
            .toArray()
        : [];
      this.#cursor = rows[0] ?? null;
    }
    return this.#cursor;
  }
}
