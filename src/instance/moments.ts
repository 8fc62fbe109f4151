import { momentAfter, type Moment } from "../kernel/moment.ts";
import type { Timer } from "../kernel/timers.ts";
import type { JournalRow } from "./store.ts";
import type { Tables } from "./tables.ts";

/** A large state is kept more rarely, so that it takes no more than so many bytes an entry. */
const BYTES_AN_ENTRY = 1_024;

/** Characters of a part: a row takes 2 MB at most, and a character up to three bytes. */
const PART = 500_000;

const SCHEMA = `CREATE TABLE moments (
  seq INTEGER NOT NULL, part INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (seq, part))
  WITHOUT ROWID`;

/** The whole state now and then, so that what it was at any time is found by reading few entries. */
export class Moments {
  readonly #tables: Tables;
  readonly #interval: number;
  /** When the next is to be kept; read when first asked for. */
  #next: number | undefined;

  /** @param interval entries after which the next is kept, where the state is small */
  constructor(tables: Tables, interval: number) {
    this.#tables = tables;
    this.#interval = interval;
  }

  /** After a rollback. */
  forget(): void {
    this.#next = undefined;
  }

  isDue(seq: number): boolean {
    this.#next ??= this.#readNext();
    return seq >= this.#next;
  }

  /** @param machine JSON of the `StoredState`; `actors` of each `StoredActor` */
  keep(seq: number, machine: string, actors: readonly string[], timers: readonly Timer[]): void {
    const body = `{"machine":${machine},"actors":[${actors.join(",")}],"timers":${JSON.stringify(timers)}}`;
    this.#write(seq, body);
    this.#next = this.#nextAfter(seq, body.length);
  }

  /** The history before an entry is kept elsewhere from now on: this moment is its beginning. */
  beginAt(seq: number, moment: Moment): void {
    if (this.#lastUntil(seq)?.seq !== seq) this.#write(seq, JSON.stringify(moment));
    this.#tables.sql.exec("DELETE FROM moments WHERE seq < ?", seq);
  }

  #write(seq: number, body: string): void {
    this.#tables.ensure("moments", SCHEMA);
    for (const [part, text] of inParts(body).entries()) {
      this.#tables.sql.exec("INSERT INTO moments VALUES (?, ?, ?)", seq, part, text);
    }
  }

  /** For when the history begins again. */
  clear(): void {
    if (this.#tables.has("moments")) this.#tables.sql.exec("DELETE FROM moments");
    this.#next = undefined;
  }

  /**
   * The state as it was after an entry, put together from what the journal keeps.
   *
   * @returns null where the entry is not there, or was written by a deployment that kept too little
   */
  at(seq: number): Moment | null {
    const kept = this.#lastUntil(seq);
    const from = kept === null ? 0 : kept.seq;
    const entries = this.#tables.sql
      .exec<Pick<JournalRow, "state" | "changes"> & Record<string, SqlStorageValue>>(
        "SELECT state, changes FROM journal WHERE seq > ? AND seq <= ? ORDER BY seq",
        from,
        seq,
      )
      .toArray();
    if (entries.length !== seq - from) return null;
    return momentAfter(kept === null ? null : kept.moment, entries);
  }

  /** After which entries the state is kept whole. */
  seqs(): number[] {
    if (!this.#tables.has("moments")) return [];
    return this.#tables.sql
      .exec<{ seq: number }>("SELECT DISTINCT seq FROM moments ORDER BY seq")
      .toArray()
      .map(({ seq }) => seq);
  }

  /** The state that is kept whole after an entry, if one is. @throws SyntaxError where it is none */
  kept(seq: number): Moment | null {
    const found = this.#lastUntil(seq);
    return found?.seq === seq ? found.moment : null;
  }

  #lastUntil(seq: number): { seq: number; moment: Moment } | null {
    if (!this.#tables.has("moments")) return null;
    const parts = this.#tables.sql
      .exec<{ seq: number; body: string }>(
        `SELECT seq, body FROM moments
           WHERE seq = (SELECT max(seq) FROM moments WHERE seq <= ?) ORDER BY part`,
        seq,
      )
      .toArray();
    const [first] = parts;
    if (first === undefined) return null;
    const moment = JSON.parse(parts.map(({ body }) => body).join("")) as Moment;
    return { seq: first.seq, moment };
  }

  #readNext(): number {
    if (!this.#tables.has("moments")) return this.#interval;
    const { last, size } = this.#tables.sql
      .exec<{ last: number | null; size: number | null }>(
        `SELECT max(seq) AS last, sum(length(body)) AS size FROM moments
           WHERE seq = (SELECT max(seq) FROM moments)`,
      )
      .one();
    return last === null ? this.#interval : this.#nextAfter(last, size ?? 0);
  }

  #nextAfter(seq: number, size: number): number {
    return seq + Math.max(this.#interval, Math.ceil(size / BYTES_AN_ENTRY));
  }
}

/** Never between the halves of a character: half a one is no text, and would be stored as another. */
function inParts(body: string): string[] {
  const parts: string[] = [];
  for (let from = 0; from < body.length;) {
    const end = from + PART;
    const isCut = end < body.length && (body.charCodeAt(end - 1) & 0xfc00) === 0xd800;
    parts.push(body.slice(from, isCut ? end - 1 : end));
    from = isCut ? end - 1 : end;
  }
  return parts;
}
