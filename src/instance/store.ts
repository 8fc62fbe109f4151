import type { ParentLink, StartRequest } from "../contract/requests.ts";
import type { Outcome } from "../contract/view.ts";
import type { Address } from "../contract/address.ts";
import { withSeal } from "../audit/seal.ts";
import { Sealing } from "../audit/sealing.ts";
import type { JournalKeys } from "../audit/keys.ts";
import type { JournalledChanges } from "../kernel/moment.ts";
import { ActorTable } from "./actor-table.ts";
import { ArchivedParts } from "./archived-parts.ts";
import { DeferredTable } from "./deferred-table.ts";
import { EffectTable } from "./effect-table.ts";
import { ExportStore } from "./export-store.ts";
import { HeldEvents } from "./held.ts";
import { JournalSearch } from "./journal-search.ts";
import { Moments } from "./moments.ts";
import { Schedule } from "./schedule.ts";
import { SecretKeeper } from "./secret-keeper.ts";
import { TimerTable } from "./timer-table.ts";
import { Tables } from "./tables.ts";
import { Tombstones } from "./tombstone.ts";
import { UsedTickets } from "./used-tickets.ts";

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
  jurisdiction: DurableObjectJurisdiction | null;
  /** JSON of the `ParentLink` of an instance that another one started. */
  parent: string | null;
  /** The subject who started it; null where a deployment before this one forgot. */
  startedBy: string | null;
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
  /** The last seal of the journal; null where nothing is sealed. */
  head: string | null;
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
    start_fingerprint TEXT NOT NULL, jurisdiction TEXT, parent TEXT, started_by TEXT);
  CREATE TABLE state (
    one INTEGER PRIMARY KEY, seq INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    body TEXT NOT NULL, head TEXT);
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
    result TEXT, trace TEXT);
`;

/**
 * Code that lives in the database, by name. The text in the tables' catalogue is compared with this
 * one when an instance wakes up, so that every deployment brings its own.
 */
const RECORDING = {
  happening: `CREATE VIEW happening AS
    SELECT NULL AS key, NULL AS epoch, journal.*, state.body, state.head
      FROM journal JOIN state USING (seq)`,
  record: `CREATE TRIGGER record INSTEAD OF INSERT ON happening BEGIN
    INSERT INTO inbox SELECT NEW.key, NEW.seq, NEW.epoch, NEW.at WHERE NEW.key IS NOT NULL;
    INSERT INTO journal VALUES (
      NEW.seq, NEW.at, NEW.type, NEW.data, NEW.outcome, NEW.by, NEW.state, NEW.changes);
    UPDATE state SET seq = NEW.seq, updated_at = NEW.at, body = coalesce(NEW.body, body),
      head = coalesce(NEW.head, head)
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

export interface StoreOptions {
  /** Entries after which the whole state is kept once more. */
  momentsEvery?: number;
  /** What entries are sealed with; by default they are not. @throws ProblemError not-configured */
  journalKeys?: () => JournalKeys | null;
  /** The Worker's bindings: SECRETS_KEYS is among them. */
  env?: unknown;
}

export class Store {
  readonly #sql: SqlStorage;
  readonly tables: Tables;
  readonly actors: ActorTable;
  readonly timers: TimerTable;
  readonly effects: EffectTable;
  readonly deferred: DeferredTable;
  readonly moments: Moments;
  readonly held: HeldEvents;
  readonly archived: ArchivedParts;
  readonly search: JournalSearch;
  readonly schedule: Schedule;
  readonly tombstones: Tombstones;
  readonly exports: ExportStore;
  readonly tickets: UsedTickets;
  readonly sealing: Sealing;
  readonly secrets: SecretKeeper;

  constructor(sql: SqlStorage, { momentsEvery = 100, journalKeys, env }: StoreOptions = {}) {
    this.#sql = sql;
    this.sealing = new Sealing(journalKeys);
    this.tables = new Tables(sql);
    this.secrets = new SecretKeeper(this.tables, env);
    this.actors = new ActorTable(this.tables);
    this.timers = new TimerTable(this.tables);
    this.effects = new EffectTable(this.tables);
    this.deferred = new DeferredTable(this.tables);
    this.schedule = new Schedule(this.tables);
    this.exports = new ExportStore(this.tables);
    this.tickets = new UsedTickets(this.tables);
    this.tombstones = new Tombstones(this.tables);
    this.archived = new ArchivedParts(this.tables);
    this.search = new JournalSearch(this.tables, this.archived);
    this.held = new HeldEvents(this.tables);
    this.moments = new Moments(this.tables, momentsEvery);
  }

  /** Whether there is an instance. Reading this leaves nothing behind. */
  exists(): boolean {
    return this.tables.has("identity");
  }

  /** Whether there is one, or one is to begin, or there was one. */
  isUsed(): boolean {
    return this.exists() || this.tables.has("scheduled") || this.tables.has("tombstone");
  }

  /** After a rollback: what was learnt in the transaction is not so. */
  forget(): void {
    this.tables.forget();
    this.moments.forget();
    this.archived.forget();
    this.exports.forget();
  }

  /** What the whole database takes up. */
  bytes(): number {
    return this.#sql.databaseSize;
  }

  /**
   * Brings the tables, the view and the trigger of another deployment up to this one; writes nothing if
   * they are the same.
   */
  renew(): void {
    const found = this.#sql
      .exec<{ name: string; sql: string }>(
        "SELECT name, sql FROM sqlite_master WHERE name IN ('happening', 'record', 'effects', 'identity', 'state')",
      )
      .toArray();
    const current = new Map(found.map(({ name, sql }) => [name, sql]));
    if (!/\btrace\b/.test(current.get("effects")!)) {
      this.#sql.exec("ALTER TABLE effects ADD COLUMN trace TEXT");
    }
    if (!/\bstarted_by\b/.test(current.get("identity")!)) {
      this.#sql.exec(
        `ALTER TABLE identity ADD COLUMN started_by TEXT;
         UPDATE identity SET started_by = (
           SELECT by FROM journal WHERE seq = 1 AND type = 'durachart.started')`,
      );
    }
    if (!/\bhead\b/.test(current.get("state")!)) {
      this.#sql.exec("ALTER TABLE state ADD COLUMN head TEXT");
    }
    if (Object.entries(RECORDING).every(([name, sql]) => current.get(name) === sql)) return;
    this.#sql.exec("DROP TRIGGER IF EXISTS record; DROP VIEW IF EXISTS happening");
    for (const sql of Object.values(RECORDING)) this.#sql.exec(sql);
  }

  create(identity: Identity): void {
    this.#sql.exec(SCHEMA);
    this.forget();
    this.renew();
    this.#sql.exec(
      "INSERT INTO identity VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      identity.tenant,
      identity.workflow,
      identity.id,
      identity.version,
      identity.epoch,
      identity.createdAt,
      identity.startFingerprint,
      identity.jurisdiction,
      identity.parent,
      identity.startedBy,
    );
    this.#sql.exec(
      "INSERT INTO state (one, seq, updated_at, body) VALUES (1, 0, ?, '')",
      identity.createdAt,
    );
  }

  identity(): Identity {
    return this.#sql
      .exec<Row & Identity>(
        `SELECT tenant, workflow, id, version, epoch, created_at AS createdAt,
           start_fingerprint AS startFingerprint, jurisdiction, parent, started_by AS startedBy
           FROM identity`,
      )
      .one();
  }

  state(): StateRow {
    return this.#sql
      .exec<Row & StateRow>("SELECT seq, updated_at AS updatedAt, body, head FROM state")
      .one();
  }

  /**
   * Records a happening in journal, state and, where it has a key, inbox; sealed where there is a key
   * for that.
   *
   * @param body null where the happening changed nothing but the sequence number
   * @param key what a repeat is known by, in the present epoch
   * @param before the journal's last seal
   * @returns its last seal now
   * @throws where the key was taken before
   */
  record(
    row: JournalRow,
    body: string | null,
    key: string | null,
    identity: Address & { epoch: number },
    before: string | null,
  ): string | null {
    const seal = this.sealing.of(identity)?.entry(identity.epoch, row, before) ?? null;
    this.#sql.exec(
      "INSERT INTO happening VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      key,
      identity.epoch,
      row.seq,
      row.at,
      row.type,
      row.data,
      row.outcome,
      // Half a character is no text, and would be read back as something else than was sealed.
      row.by.toWellFormed(),
      row.state,
      seal === null ? row.changes : withSeal(row.changes, seal),
      body,
      seal,
    );
    return seal ?? before;
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
    this.exports.keep(epoch - 1, Number.MAX_SAFE_INTEGER);
    this.#sql.exec("DELETE FROM inbox WHERE epoch < ? AND at < ?", epoch - 1, forget);
    this.#sql.exec("DELETE FROM journal");
    this.moments.clear();
    this.archived.clear();
    this.#sql.exec("UPDATE identity SET epoch = ? WHERE one = 1", epoch);
    this.#sql.exec("UPDATE state SET seq = 0, head = NULL WHERE one = 1");
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

  /** Where an event of the journal came from: its `traceparent`, and what its sender proved itself by. */
  originOf(seq: number): { trace?: string | undefined; credential?: string | undefined } {
    const [row] = this.journal(seq - 1, 1);
    if (row?.seq !== seq) return {};
    const { attributes, credential } = JSON.parse(row.changes) as JournalledChanges;
    return { trace: attributes?.["traceparent"] as string | undefined, credential };
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
}

/** Who an instance is that such a request begins. */
export function identityOf(
  { address, caller, fingerprint, parent }: StartRequest,
  version: string,
  createdAt: number,
): Identity {
  return {
    ...address,
    ...{ version, epoch: 1, createdAt, startFingerprint: fingerprint },
    jurisdiction: caller.jurisdiction ?? null,
    parent: parent === undefined ? null : JSON.stringify(parent),
    startedBy: caller.subject,
  };
}

export function parentLink({ parent }: Identity): ParentLink | null {
  return parent === null ? null : (JSON.parse(parent) as ParentLink);
}
