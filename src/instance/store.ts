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
 * row each in inbox, journal and state; none of them has a secondary index. The three go through one
 * view: on this path a statement costs more than a row.
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

/**
 * Code that lives in the database, by name. The text in the tables' catalogue is compared with this
 * one when an instance wakes up, so that every deployment brings its own.
 */
const RECORDING = {
  happening: `CREATE VIEW happening AS
    SELECT NULL AS key, journal.*, state.body FROM journal JOIN state USING (seq)`,
  record: `CREATE TRIGGER record INSTEAD OF INSERT ON happening BEGIN
    INSERT INTO inbox SELECT NEW.key, NEW.seq WHERE NEW.key IS NOT NULL;
    INSERT INTO journal VALUES (
      NEW.seq, NEW.at, NEW.type, NEW.data, NEW.outcome, NEW.by, NEW.state, NEW.changes);
    UPDATE state SET seq = NEW.seq, updated_at = NEW.at, body = coalesce(NEW.body, body)
      WHERE one = 1;
  END`,
};

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

  /** Puts this deployment's view and trigger in the place of another's; writes nothing if they are the same. */
  renewRecording(): void {
    const found = this.#sql
      .exec<{ name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_master WHERE name IN ('happening', 'record')",
      )
      .toArray();
    const current = new Map(found.map(({ name, sql }) => [name, sql]));
    if (Object.entries(RECORDING).every(([name, sql]) => current.get(name) === sql)) return;
    this.#sql.exec("DROP TRIGGER IF EXISTS record; DROP VIEW IF EXISTS happening");
    for (const sql of Object.values(RECORDING)) this.#sql.exec(sql);
  }

  create(identity: Identity): void {
    this.#sql.exec(SCHEMA);
    this.renewRecording();
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

  /**
   * Records a happening in journal, state and, where it has a key, inbox.
   *
   * @param body null where the happening changed nothing but the sequence number
   * @throws where the key was taken before
   */
  record(row: JournalRow, body: string | null, key: string | null): void {
    this.#sql.exec(
      "INSERT INTO happening VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      key,
      row.seq,
      row.at,
      row.type,
      row.data,
      row.outcome,
      row.by,
      row.state,
      row.changes,
      body,
    );
  }

  /** Writes the state alone, without anything having happened. */
  writeState(body: string): void {
    this.#sql.exec("UPDATE state SET body = ? WHERE one = 1", body);
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
