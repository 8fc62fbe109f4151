import { rank, type ConceptHits } from "./ranking.ts";
import type { NewPassage } from "./passages.ts";
import type { Found, Passage } from "./retrieval.ts";
import { anyOf, conceptsOf } from "./words.ts";

/** A document as it is put in. */
export interface NewHolding {
  title: string;
  /** Of the title and the text. */
  hash: string;
  /** Each with a key that names its realm, its document and its text. */
  passages: (NewPassage & { key: string })[];
}

/** What became of a document's version. */
export interface Taken {
  outcome: "stored" | "unchanged" | "outdated" | "full";
  /** Keys of passages that are no longer there, until `forget` is told that the vectors are gone too. */
  stale: string[];
}

/** Documents of a realm. */
export const MOST_DOCUMENTS = 1_000;
/** Passages that are looked at for one concept. */
const MOST_HITS = 500;
const MOST_FOUND = 5;
/** How much of a question a document must speak of to be its answer; set by the questions in questions.json. */
const ENOUGH = 0.5;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS documents (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, title TEXT, hash TEXT) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS passages (
    number INTEGER PRIMARY KEY, document TEXT NOT NULL, key TEXT NOT NULL);
  CREATE INDEX IF NOT EXISTS passages_by_document ON passages (document);
  CREATE INDEX IF NOT EXISTS passages_by_key ON passages (key);
  CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(
    title, heading, body, tokenize = 'porter unicode61 remove_diacritics 2');
  CREATE TABLE IF NOT EXISTS stale (key TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS versions (only INTEGER PRIMARY KEY CHECK (only = 0), last INTEGER NOT NULL);
`;

/**
 * A realm's documents, and the search in them: SQLite's FTS5 with BM25. A removed document leaves its row,
 * so that what comes late of an earlier version doesn't bring it back.
 */
export class Holdings {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  /** A number that is higher than all before it, and about the time. */
  nextVersion(now: number): number {
    const [row] = this.#sql
      .exec<{ last: number }>(
        `INSERT INTO versions (only, last) VALUES (0, ?1)
         ON CONFLICT DO UPDATE SET last = max(last + 1, ?1) RETURNING last`,
        now,
      )
      .toArray();
    return row!.last;
  }

  /** Whether a document of this id can come to those that are there. */
  hasRoomFor(id: string): boolean {
    return this.#count() < MOST_DOCUMENTS || this.#titleOf(id) !== null;
  }

  list(): { id: string; title: string }[] {
    return this.#sql
      .exec<{ id: string; title: string }>(
        "SELECT id, title FROM documents WHERE title IS NOT NULL ORDER BY id",
      )
      .toArray();
  }

  /** @param holding null to remove it */
  take(id: string, version: number, holding: NewHolding | null): Taken {
    const [known] = this.#sql
      .exec<{ version: number; hash: string | null }>(
        "SELECT version, hash FROM documents WHERE id = ?",
        id,
      )
      .toArray();
    if (known !== undefined && known.version > version) return this.#taken("outdated");
    if (holding !== null && !this.hasRoomFor(id)) return this.#taken("full");
    const hash = holding?.hash ?? null;
    this.#sql.exec(
      `INSERT INTO documents (id, version, title, hash) VALUES (?1, ?2, ?3, ?4)
       ON CONFLICT DO UPDATE SET version = ?2, title = ?3, hash = ?4`,
      ...[id, version, holding?.title ?? null, hash],
    );
    if (known !== undefined && known.hash === hash) return this.#taken("unchanged");
    this.#replace(id, holding);
    return this.#taken("stored");
  }

  /** @param keys of vectors that are gone; what has come back since stays */
  forget(keys: readonly string[]): void {
    for (const key of keys) this.#sql.exec("DELETE FROM stale WHERE key = ?", key);
  }

  search(question: string): Found {
    const concepts = conceptsOf(question);
    const documentOf = new Map<number, string>();
    const hits = concepts.map(({ forms, alternatives }): ConceptHits => ({
      own: this.#hits(forms, documentOf),
      alternatives: this.#hits(alternatives, documentOf),
    }));
    const ranked = rank(hits, documentOf, this.#count()).slice(0, MOST_FOUND);
    const passages = ranked.flatMap(({ passage, score }) => this.#passage(passage, score));
    return { isKnown: (ranked[0]?.coverage ?? 0) >= ENOUGH, passages };
  }

  /** Those passages of these keys that are still there. */
  withKeys(keys: readonly string[]): (Passage & { key: string })[] {
    return keys.flatMap((key) => {
      const [row] = this.#sql
        .exec<{ number: number }>("SELECT number FROM passages WHERE key = ? LIMIT 1", key)
        .toArray();
      if (row === undefined) return [];
      return this.#passage(row.number, 0).map((passage) => ({ ...passage, key }));
    });
  }

  #hits(phrases: readonly string[], documentOf: Map<number, string>): Map<number, number> {
    if (phrases.length === 0) return new Map();
    const rows = this.#sql
      .exec<{ number: number; document: string; score: number }>(
        // What a title says, all of the document is about.
        `SELECT number, document, -bm25(texts, 2.5, 1.5, 1.0) AS score
         FROM texts JOIN passages ON number = texts.rowid
         WHERE texts MATCH ? ORDER BY score DESC LIMIT ${MOST_HITS}`,
        anyOf(phrases),
      )
      .toArray();
    for (const { number, document } of rows) documentOf.set(number, document);
    return new Map(rows.map(({ number, score }) => [number, score]));
  }

  #passage(number: number, score: number): Passage[] {
    return this.#sql
      .exec<{ document: string; title: string; text: string }>(
        `SELECT document, title, body AS text FROM texts JOIN passages ON number = texts.rowid
         WHERE number = ?`,
        number,
      )
      .toArray()
      .map((row) => ({ ...row, score }));
  }

  #replace(id: string, holding: NewHolding | null): void {
    this.#sql.exec("INSERT OR IGNORE INTO stale SELECT key FROM passages WHERE document = ?", id);
    this.#sql.exec(
      "DELETE FROM texts WHERE rowid IN (SELECT number FROM passages WHERE document = ?)",
      id,
    );
    this.#sql.exec("DELETE FROM passages WHERE document = ?", id);
    if (holding === null) return;
    for (const { key, heading, text } of holding.passages) {
      const [row] = this.#sql
        .exec<{ number: number }>(
          "INSERT INTO passages (document, key) VALUES (?, ?) RETURNING number",
          ...[id, key],
        )
        .toArray();
      this.#sql.exec(
        "INSERT INTO texts (rowid, title, heading, body) VALUES (?, ?, ?, ?)",
        ...[row!.number, holding.title, heading, text],
      );
      this.#sql.exec("DELETE FROM stale WHERE key = ?", key);
    }
  }

  #taken(outcome: Taken["outcome"]): Taken {
    const stale = this.#sql.exec<{ key: string }>("SELECT key FROM stale LIMIT 1000").toArray();
    return { outcome, stale: stale.map(({ key }) => key) };
  }

  #titleOf(id: string): string | null {
    const [row] = this.#sql
      .exec<{ title: string | null }>("SELECT title FROM documents WHERE id = ?", id)
      .toArray();
    return row?.title ?? null;
  }

  #count(): number {
    const counted = "SELECT count(*) AS count FROM documents WHERE title IS NOT NULL";
    return this.#sql.exec<{ count: number }>(counted).one().count;
  }
}
