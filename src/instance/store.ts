import type { Outcome } from "../contract/view.ts";

/** Who this object is; written once, when it is started. */
export interface Identity {
  tenant: string;
  workflow: string;
  id: string;
  version: string;
  /** Grows when an id's history begins again, so that (epoch, seq) never repeats. */
  epoch: number;
  createdAt: number;
  startFingerprint: string;
  jurisdiction: string | null;
}

/** Work to be done after a commit: an actor to run, a named action, an emitted event. */
export interface EffectRow {
  key: number;
  kind: "actor" | "command" | "emit";
  name: string;
  /** JSON. */
  payload: string;
  /** Tries begun so far. */
  attempt: number;
  /** When to look at it next: the end of its lease, or the next try; null when it has been given up. */
  due: number | null;
  createdAt: number;
  error: string | null;
  /** JSON of a settlement that the chart could not take yet. */
  result: string | null;
}

export interface JournalRow {
  seq: number;
  at: number;
  type: string;
  /** JSON, or null where the event carries no data. */
  data: string | null;
  outcome: Outcome;
  by: string;
  /** JSON of the state value after the event. */
  state: string;
  /** JSON of `Changes`. */
  changes: string;
}

export interface StateRow {
  seq: number;
  updatedAt: number;
  body: string;
}

/**
 * All SQL of an instance. Additive changes only: old code must run on new tables. An event writes a
 * row each in inbox, journal and state; none of them has a secondary index.
 */
const SCHEMA = `
  CREATE TABLE identity (
    one INTEGER PRIMARY KEY, tenant TEXT NOT NULL, workflow TEXT NOT NULL,
    id TEXT NOT NULL, version TEXT NOT NULL, epoch INTEGER NOT NULL, created_at INTEGER NOT NULL,
    start_fingerprint TEXT NOT NULL, jurisdiction TEXT);
  CREATE TABLE state (
    one INTEGER PRIMARY KEY, seq INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    body TEXT NOT NULL);
  CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, data TEXT,
    outcome TEXT NOT NULL, by TEXT NOT NULL, state TEXT NOT NULL, changes TEXT NOT NULL);
  CREATE TABLE inbox (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE effects (
    key INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL,
    attempt INTEGER NOT NULL, due INTEGER, created_at INTEGER NOT NULL, error TEXT, result TEXT);
`;

const JOURNAL_COLUMNS = "seq, at, type, data, outcome, by, state, changes";

type Row = Record<string, SqlStorageValue>;

export class Store {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Whether this object was ever started. Reading this leaves nothing behind. */
  exists(): boolean {
    const found = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'identity'");
    return found.toArray().length > 0;
  }

  create(identity: Identity): void {
    this.#sql.exec(SCHEMA);
    this.#sql.exec(
      "INSERT INTO identity VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?)",
      identity.tenant,
      identity.workflow,
      identity.id,
      identity.version,
      identity.epoch,
      identity.createdAt,
      identity.startFingerprint,
      identity.jurisdiction,
    );
    this.#sql.exec("INSERT INTO state VALUES (1, 0, ?, '')", identity.createdAt);
  }

  identity(): Identity {
    return this.#sql
      .exec<Row & Identity>(
        `SELECT tenant, workflow, id, version, epoch, created_at AS createdAt,
           start_fingerprint AS startFingerprint, jurisdiction FROM identity`,
      )
      .one();
  }

  state(): StateRow {
    return this.#sql
      .exec<Row & StateRow>("SELECT seq, updated_at AS updatedAt, body FROM state")
      .one();
  }

  /** @param body null where the event changed nothing but the sequence number */
  writeState(seq: number, updatedAt: number, body: string | null): void {
    if (body === null) {
      this.#sql.exec("UPDATE state SET seq = ?, updated_at = ? WHERE one = 1", seq, updatedAt);
    } else {
      this.#sql.exec(
        "UPDATE state SET seq = ?, updated_at = ?, body = ? WHERE one = 1",
        seq,
        updatedAt,
        body,
      );
    }
  }

  appendJournal(row: JournalRow): void {
    this.#sql.exec(
      `INSERT INTO journal (${JOURNAL_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      row.seq,
      row.at,
      row.type,
      row.data,
      row.outcome,
      row.by,
      row.state,
      row.changes,
    );
  }

  journal(after: number, limit: number): JournalRow[] {
    return this.#sql
      .exec<Row & JournalRow>(
        `SELECT ${JOURNAL_COLUMNS} FROM journal WHERE seq > ? ORDER BY seq LIMIT ?`,
        after,
        limit,
      )
      .toArray();
  }

  /** The journal entry of the event that came with a key before. */
  taken(key: string): JournalRow | undefined {
    const found = this.#sql.exec<{ seq: number }>("SELECT seq FROM inbox WHERE key = ?", key);
    const [row] = found.toArray();
    return row && this.journal(row.seq - 1, 1)[0];
  }

  /** Takes a key for the event that becomes `seq`; false where it was taken before. */
  claim(key: string, seq: number): boolean {
    const done = this.#sql.exec("INSERT INTO inbox VALUES (?, ?) ON CONFLICT DO NOTHING", key, seq);
    return done.rowsWritten > 0;
  }

  effects(): EffectRow[] {
    return this.#sql
      .exec<Row & EffectRow>(
        `SELECT key, kind, name, payload, attempt, due, created_at AS createdAt, error, result
           FROM effects ORDER BY key`,
      )
      .toArray();
  }

  insertEffect(row: EffectRow): void {
    this.#sql.exec(
      "INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.key,
      row.kind,
      row.name,
      row.payload,
      row.attempt,
      row.due,
      row.createdAt,
      row.error,
      row.result,
    );
  }

  updateEffect({ key, attempt, due, error, result }: EffectRow): void {
    this.#sql.exec(
      "UPDATE effects SET attempt = ?, due = ?, error = ?, result = ? WHERE key = ?",
      attempt,
      due,
      error,
      result,
      key,
    );
  }

  deleteEffect(key: number): void {
    this.#sql.exec("DELETE FROM effects WHERE key = ?", key);
  }
}
