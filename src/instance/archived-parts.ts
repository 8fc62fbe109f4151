import type { Outcome } from "../contract/view.ts";
import type { JournalledEffect } from "../kernel/moment.ts";
import type { Tables } from "./tables.ts";

/** Entries that have left the journal together, from `first` to `last`. */
export interface ArchivedPart {
  first: number;
  last: number;
}

const PARTS = `CREATE TABLE archived (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, stored INTEGER NOT NULL, at INTEGER NOT NULL)`;

const OUTCOMES = "CREATE TABLE archived_outcomes (seq INTEGER PRIMARY KEY, outcome TEXT NOT NULL)";

const RUNS = "CREATE TABLE archived_runs (key INTEGER PRIMARY KEY, effect TEXT NOT NULL)";

/**
 * What of the present epoch's journal is archived, without gaps from the first entry on. A part is noted
 * before it is written, so that a repeat after a crash writes the same one.
 */
export class ArchivedParts {
  readonly #tables: Tables;
  /** Read when first asked for. */
  #through: number | undefined;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** After a rollback. */
  forget(): void {
    this.#through = undefined;
  }

  /** The last archived entry; 0 for none. */
  through(): number {
    this.#through ??= this.#readThrough();
    return this.#through;
  }

  /** The part that an archived entry is in. */
  holding(seq: number): ArchivedPart {
    return this.#tables.sql
      .exec<ArchivedPart & Record<string, SqlStorageValue>>(
        "SELECT first, last FROM archived WHERE first <= ? AND stored = 1 ORDER BY first DESC LIMIT 1",
        seq,
      )
      .one();
  }

  /** The part that was begun and perhaps not stored. */
  unfinished(): ArchivedPart | null {
    if (!this.#tables.has("archived")) return null;
    const [found] = this.#tables.sql
      .exec<ArchivedPart & Record<string, SqlStorageValue>>(
        "SELECT first, last FROM archived WHERE stored = ? ORDER BY first LIMIT 1",
        0,
      )
      .toArray();
    return found ?? null;
  }

  begin({ first, last }: ArchivedPart, now: number): void {
    this.#tables.ensure("archived", PARTS);
    this.#tables.sql.exec("INSERT INTO archived VALUES (?, ?, 0, ?)", first, last, now);
  }

  /** It is stored: its entries leave the journal. */
  finish({ first, last }: ArchivedPart): void {
    const { sql } = this.#tables;
    sql.exec("UPDATE archived SET stored = 1 WHERE first = ?", first);
    this.#keepOutcomes(last);
    sql.exec("DELETE FROM journal WHERE seq <= ?", last);
    this.#through = last;
  }

  /** For when the history begins again. */
  clear(): void {
    const { sql } = this.#tables;
    if (this.#tables.has("archived")) sql.exec("DELETE FROM archived");
    for (const table of ["archived_runs", "archived_outcomes"]) {
      if (this.#tables.has(table)) sql.exec(`DELETE FROM ${table}`);
    }
    this.#through = undefined;
  }

  /** What became of an archived event that a repeat may ask about. */
  outcome(seq: number): Outcome {
    if (!this.#tables.has("archived_outcomes")) return "applied";
    const [found] = this.#tables.sql
      .exec<{ outcome: Outcome }>("SELECT outcome FROM archived_outcomes WHERE seq = ?", seq)
      .toArray();
    return found?.outcome ?? "applied";
  }

  /** Of events with a key; most were applied, and need no row. */
  #keepOutcomes(last: number): void {
    const { sql } = this.#tables;
    const rows = sql
      .exec<{ seq: number; outcome: string }>(
        `SELECT seq, outcome FROM journal WHERE seq <= ? AND outcome <> 'applied'
           AND seq IN (SELECT seq FROM inbox)`,
        last,
      )
      .toArray();
    if (rows.length > 0) this.#tables.ensure("archived_outcomes", OUTCOMES);
    for (const { seq, outcome } of rows) {
      sql.exec("INSERT INTO archived_outcomes VALUES (?, ?)", seq, outcome);
    }
  }

  /** How actors were asked for that an archived entry began and that outlived it. */
  keepRuns(runs: ReadonlyMap<number, JournalledEffect>): void {
    const { sql } = this.#tables;
    if (this.#tables.has("archived_runs")) sql.exec("DELETE FROM archived_runs");
    if (runs.size > 0) this.#tables.ensure("archived_runs", RUNS);
    for (const [key, effect] of runs) {
      sql.exec("INSERT INTO archived_runs VALUES (?, ?)", key, JSON.stringify(effect));
    }
  }

  run(key: number): JournalledEffect | undefined {
    if (!this.#tables.has("archived_runs")) return undefined;
    const [found] = this.#tables.sql
      .exec<{ effect: string }>("SELECT effect FROM archived_runs WHERE key = ?", key)
      .toArray();
    return found === undefined ? undefined : (JSON.parse(found.effect) as JournalledEffect);
  }

  #readThrough(): number {
    if (!this.#tables.has("archived")) return 0;
    const { last } = this.#tables.sql
      .exec<{ last: number | null }>("SELECT max(last) AS last FROM archived WHERE stored = 1")
      .one();
    return last ?? 0;
  }
}
