import type { ParentLink } from "../contract/requests.ts";
import type { Outcome } from "../contract/view.ts";
import type { Timer } from "../kernel/timers.ts";
import { ArchivedParts } from "./archived-parts.ts";
import { HeldEvents } from "./held.ts";
import { JournalSearch } from "./journal-search.ts";
import { Moments } from "./moments.ts";
import { Schedule } from "./schedule.ts";
import { Tables } from "./tables.ts";
import { Tombstones } from "./tombstone.ts";

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
  /** JSON of the `ParentLink` of an instance that another one started. */
  parent: string | null;
}

/**
 * Work to be done after a commit: an actor to run, a named action, an emitted event on a route, another
 * instance as an actor, a message to an instance, the outcome for the one that started this.
 */
export interface EffectRow {
  key: number;
  kind: "actor" | "instance" | "command" | "emit" | "send" | "outcome";
  name: string;
  /** JSON. */
  payload: string;
  /**
   * `running`: under a lease until `due`. `waiting`: for `due`, and for its turn. `settling`: its result
   * is brought to the chart again at `due`. `away`: the other instance's outcome will come. `parked`:
   * for a person.
   */
  status: "running" | "waiting" | "settling" | "away" | "parked";
  /** Tries begun so far. */
  attempt: number;
  due: number;
  createdAt: number;
  /** The instance's when it was written: with the key it makes the id that repeats are known by. */
  epoch: number;
  /** How many instances the event that led here has passed through. */
  hops: number;
  error: string | null;
  /** JSON of a settlement that the chart could not take yet. */
  result: string | null;
}

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
    start_fingerprint TEXT NOT NULL, jurisdiction TEXT, parent TEXT);
  CREATE TABLE state (
    one INTEGER PRIMARY KEY, seq INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    body TEXT NOT NULL);
  CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, type TEXT NOT NULL, data TEXT,
    outcome TEXT NOT NULL, by TEXT NOT NULL, state TEXT NOT NULL, changes TEXT NOT NULL);
  CREATE TABLE inbox (
    key TEXT PRIMARY KEY, seq INTEGER NOT NULL, epoch INTEGER NOT NULL, at INTEGER NOT NULL)
    WITHOUT ROWID;
  CREATE TABLE effects (
    key INTEGER PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, payload TEXT NOT NULL,
    status TEXT NOT NULL, attempt INTEGER NOT NULL, due INTEGER NOT NULL,
    created_at INTEGER NOT NULL, epoch INTEGER NOT NULL, hops INTEGER NOT NULL, error TEXT,
    result TEXT);
`;

/** Tables that many instances never need: each is made when it is first written to. */
const ON_DEMAND = {
  actors: "CREATE TABLE actors (key INTEGER PRIMARY KEY, body TEXT NOT NULL)",
  timers: `CREATE TABLE timers (
    owner INTEGER NOT NULL, id TEXT NOT NULL, key INTEGER NOT NULL, at INTEGER NOT NULL,
    due INTEGER, detached INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (owner, id, key))
    WITHOUT ROWID;
    CREATE INDEX timers_due ON timers (due, key) WHERE due IS NOT NULL`,
  deferred: `CREATE TABLE deferred (
    seq INTEGER PRIMARY KEY, type TEXT NOT NULL, data TEXT, by TEXT NOT NULL,
    hops INTEGER NOT NULL, until INTEGER NOT NULL)`,
};

type OnDemand = keyof typeof ON_DEMAND;

/**
 * Code that lives in the database, by name. The text in the tables' catalogue is compared with this
 * one when an instance wakes up, so that every deployment brings its own.
 */
const RECORDING = {
  happening: `CREATE VIEW happening AS
    SELECT NULL AS key, NULL AS epoch, journal.*, state.body FROM journal JOIN state USING (seq)`,
  record: `CREATE TRIGGER record INSTEAD OF INSERT ON happening BEGIN
    INSERT INTO inbox SELECT NEW.key, NEW.seq, NEW.epoch, NEW.at WHERE NEW.key IS NOT NULL;
    INSERT INTO journal VALUES (
      NEW.seq, NEW.at, NEW.type, NEW.data, NEW.outcome, NEW.by, NEW.state, NEW.changes);
    UPDATE state SET seq = NEW.seq, updated_at = NEW.at, body = coalesce(NEW.body, body)
      WHERE one = 1;
  END`,
};

const JOURNAL_COLUMNS = "seq, at, type, data, outcome, by, state, changes";

/** Where an event that came before stands. */
interface Taken {
  seq: number;
  epoch: number;
  /** While the journal has it. */
  entry?: JournalRow;
  /** In the present epoch. */
  outcome?: Outcome;
}

type Row = Record<string, SqlStorageValue>;

export class Store {
  readonly #sql: SqlStorage;
  readonly tables: Tables;
  readonly moments: Moments;
  readonly held: HeldEvents;
  readonly archived: ArchivedParts;
  readonly search: JournalSearch;
  readonly schedule: Schedule;
  readonly tombstones: Tombstones;

  /** @param options.momentsEvery entries after which the whole state is kept once more */
  constructor(sql: SqlStorage, { momentsEvery = 100 }: { momentsEvery?: number } = {}) {
    this.#sql = sql;
    this.tables = new Tables(sql);
    this.schedule = new Schedule(this.tables);
    this.tombstones = new Tombstones(this.tables);
    this.archived = new ArchivedParts(this.tables);
    this.search = new JournalSearch(this.tables, this.archived);
    this.held = new HeldEvents(this.tables);
    this.moments = new Moments(this.tables, momentsEvery);
  }

  /** Whether there is an instance. Reading this leaves nothing behind. */
  exists(): boolean {
    return this.#has("identity");
  }

  /** Whether there is one, or one is to begin, or there was one. */
  isUsed(): boolean {
    return this.exists() || this.#has("scheduled") || this.#has("tombstone");
  }

  /** After a rollback: what was learnt in the transaction is not so. */
  forget(): void {
    this.tables.forget();
    this.moments.forget();
    this.archived.forget();
  }

  /** What the whole database takes up. */
  bytes(): number {
    return this.#sql.databaseSize;
  }

  #has(table: string): boolean {
    return this.tables.has(table);
  }

  #ensure(table: OnDemand): void {
    this.tables.ensure(table, ON_DEMAND[table]);
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
    this.forget();
    this.renewRecording();
    this.#sql.exec(
      "INSERT INTO identity VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      identity.tenant,
      identity.workflow,
      identity.id,
      identity.version,
      identity.epoch,
      identity.createdAt,
      identity.startFingerprint,
      identity.jurisdiction,
      identity.parent,
    );
    this.#sql.exec("INSERT INTO state VALUES (1, 0, ?, '')", identity.createdAt);
  }

  identity(): Identity {
    return this.#sql
      .exec<Row & Identity>(
        `SELECT tenant, workflow, id, version, epoch, created_at AS createdAt,
           start_fingerprint AS startFingerprint, jurisdiction, parent FROM identity`,
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
   * @param key what a repeat is known by, in the present epoch
   * @throws where the key was taken before
   */
  record(row: JournalRow, body: string | null, key: string | null, epoch: number): void {
    this.#sql.exec(
      "INSERT INTO happening VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      key,
      epoch,
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

  setVersion(version: string): void {
    this.#sql.exec("UPDATE identity SET version = ? WHERE one = 1", version);
  }

  /** Writes the state alone, without anything having happened. */
  writeState(body: string): void {
    this.#sql.exec("UPDATE state SET body = ? WHERE one = 1", body);
  }

  /**
   * Begins the history again, in the next epoch: the journal is emptied, and what repeats are known by
   * is kept for one epoch more, and for as long as messages are tried.
   *
   * @param forget what came before is too old to be repeated; milliseconds since the epoch
   */
  beginAgain(epoch: number, forget: number): void {
    this.#sql.exec("DELETE FROM inbox WHERE epoch < ? AND at < ?", epoch - 1, forget);
    this.#sql.exec("DELETE FROM journal");
    this.moments.clear();
    this.archived.clear();
    this.#sql.exec("UPDATE identity SET epoch = ? WHERE one = 1", epoch);
    this.#sql.exec("UPDATE state SET seq = 0 WHERE one = 1");
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

  /** When an event with this key came before: its place, and its entry while the journal has it. */
  taken(key: string): Taken | undefined {
    const found = this.#sql
      .exec<{ seq: number; epoch: number }>("SELECT seq, epoch FROM inbox WHERE key = ?", key)
      .toArray();
    const [row] = found;
    if (row === undefined) return undefined;
    if (row.epoch !== this.identity().epoch) return row;
    if (row.seq <= this.archived.through()) {
      return { ...row, outcome: this.archived.outcome(row.seq) };
    }
    const entry = this.journal(row.seq - 1, 1)[0]!;
    return { ...row, entry, outcome: entry.outcome };
  }

  effects(): EffectRow[] {
    return this.#sql
      .exec<Row & EffectRow>(
        `SELECT key, kind, name, payload, status, attempt, due, created_at AS createdAt, epoch, hops,
           error, result FROM effects ORDER BY key`,
      )
      .toArray();
  }

  insertEffect(row: EffectRow): void {
    this.#sql.exec(
      "INSERT INTO effects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      row.key,
      row.kind,
      row.name,
      row.payload,
      row.status,
      row.attempt,
      row.due,
      row.createdAt,
      row.epoch,
      row.hops,
      row.error,
      row.result,
    );
  }

  updateEffect({ key, status, attempt, due, createdAt, error, result }: EffectRow): void {
    this.#sql.exec(
      `UPDATE effects SET status = ?, attempt = ?, due = ?, created_at = ?, error = ?, result = ?
         WHERE key = ?`,
      status,
      attempt,
      due,
      createdAt,
      error,
      result,
      key,
    );
  }

  deleteEffect(key: number): void {
    this.#sql.exec("DELETE FROM effects WHERE key = ?", key);
  }

  /** The JSON of every actor that has a row, in the order in which they were made. */
  actors(): string[] {
    if (!this.#has("actors")) return [];
    return this.#sql
      .exec<{ body: string }>("SELECT body FROM actors ORDER BY key")
      .toArray()
      .map(({ body }) => body);
  }

  /** @param body null to forget it */
  writeActor(key: number, body: string | null): void {
    this.#ensure("actors");
    if (body === null) this.#sql.exec("DELETE FROM actors WHERE key = ?", key);
    else this.#sql.exec("INSERT OR REPLACE INTO actors VALUES (?, ?)", key, body);
  }

  deleteAllActors(): void {
    if (this.#has("actors")) this.#sql.exec("DELETE FROM actors");
  }

  /** How many timers have a row. */
  countTimers(): number {
    if (!this.#has("timers")) return 0;
    return this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM timers").one().count;
  }

  /** The timers with a row that are due first. */
  nextTimers(limit: number): Timer[] {
    return this.#timers("due IS NOT NULL ORDER BY due, key LIMIT ?", limit);
  }

  /** Timers with a row that wait for a person. */
  blockedTimers(limit: number): Timer[] {
    return this.#timers("due IS NULL ORDER BY key LIMIT ?", limit);
  }

  #timers(where: string, limit: number): Timer[] {
    return this.#sql
      .exec<{ body: string; detached: number }>(
        `SELECT body, detached FROM timers WHERE ${where}`,
        limit,
      )
      .toArray()
      .map(({ body, detached }) => {
        const timer = JSON.parse(body) as Timer;
        return detached === 1 ? { ...timer, detached: true } : timer;
      });
  }

  /** @param due when to look at it next; null for never by itself */
  writeTimer(timer: Timer, due: number | null): void {
    this.#ensure("timers");
    const { owner, id, key, at, detached = false } = timer;
    this.#sql.exec(
      "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?, ?, ?)",
      owner,
      id,
      key,
      at,
      due,
      detached ? 1 : 0,
      JSON.stringify(timer),
    );
  }

  deleteTimer({ owner, id, key }: Timer): void {
    this.#sql.exec("DELETE FROM timers WHERE owner = ? AND id = ? AND key = ?", owner, id, key);
  }

  /** @returns the keys of those that were not */
  detachTimers({ owner, id }: { owner: number; id: string }): number[] {
    const detached = this.#sql.exec<{ key: number }>(
      "UPDATE timers SET detached = 1 WHERE owner = ? AND id = ? AND detached = 0 RETURNING key",
      owner,
      id,
    );
    return detached.toArray().map(({ key }) => key);
  }

  /** @returns the keys of those that were there */
  cancelTimers({ owner, id }: { owner: number; id?: string }): number[] {
    const cancelled =
      id === undefined
        ? this.#sql.exec<{ key: number }>(
            "DELETE FROM timers WHERE owner = ? AND detached = 0 RETURNING key",
            owner,
          )
        : this.#sql.exec<{ key: number }>(
            "DELETE FROM timers WHERE owner = ? AND id = ? AND detached = 0 RETURNING key",
            owner,
            id,
          );
    return cancelled.toArray().map(({ key }) => key);
  }

  /** All timers with a row. */
  allTimers(): Timer[] {
    return this.#has("timers") ? this.#timers("TRUE ORDER BY key LIMIT ?", -1) : [];
  }

  deleteAllTimers(): void {
    if (this.#has("timers")) this.#sql.exec("DELETE FROM timers");
  }

  deferred(): DeferredRow[] {
    if (!this.#has("deferred")) return [];
    return this.#sql
      .exec<Row & DeferredRow>("SELECT seq, type, data, by, hops, until FROM deferred ORDER BY seq")
      .toArray();
  }

  insertDeferred(row: DeferredRow): void {
    this.#ensure("deferred");
    this.#sql.exec(
      "INSERT INTO deferred VALUES (?, ?, ?, ?, ?, ?)",
      row.seq,
      row.type,
      row.data,
      row.by,
      row.hops,
      row.until,
    );
  }

  deleteDeferred(seq: number): void {
    this.#sql.exec("DELETE FROM deferred WHERE seq = ?", seq);
  }
}

export function parentLink({ parent }: Identity): ParentLink | null {
  return parent === null ? null : (JSON.parse(parent) as ParentLink);
}
