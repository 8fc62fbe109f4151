import { DurableObject } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { backoff } from "../../src/egress/timing.ts";
import { toQueue } from "../../src/egress/transport.ts";
import type { RabbitSettings } from "../../src/rabbitmq/pool.ts";
import { overRabbitMQ } from "../../src/rabbitmq/transport.ts";
import type { Job, Report, StationMove } from "../contracts/stations.ts";

/** What a station is told and what it reports, as CloudEvent types. */
export interface StationVocabulary {
  name: string;
  takes: string;
  cancels: string;
  /** Reported when work on a job begins; absent where nobody needs to know. */
  begins?: string;
  finishes: string;
  fails: string;
}

export interface StationEnv extends RabbitSettings {
  EVENTS_QUEUE: Queue;
}

/** A station's connections to RabbitMQ: it has no more to say or to hear than one can carry. */
export const STATION_MEMBERS = 1;

const reports = overRabbitMQ("durachart-events", toQueue("EVENTS_QUEUE"), {
  members: STATION_MEMBERS,
});

/** What was taken off the queue. */
export interface Delivery {
  /** source and id: what a repeat is known by. */
  key: string;
  type: string;
  /** `{workflow}/{id}` */
  order: string;
  data: unknown;
  /** `traceparent` */
  trace?: string;
}

/** Deliveries and answers are remembered for longer than any queue keeps a message (14 days at most). */
const REMEMBERED = 15 * 86_400_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS inbox (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, answer TEXT);
  CREATE TABLE IF NOT EXISTS jobs (
    position INTEGER PRIMARY KEY, "order" TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
    ticket TEXT NOT NULL, at INTEGER NOT NULL, trace TEXT);
  CREATE TABLE IF NOT EXISTS cancelled ("order" TEXT PRIMARY KEY, at INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS finished ("order" TEXT PRIMARY KEY, at INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, type TEXT NOT NULL, "order" TEXT NOT NULL,
    data TEXT NOT NULL, at INTEGER NOT NULL, attempts INTEGER NOT NULL, trace TEXT);
`;

/** Tables that an earlier deployment made lack what came later. */
function addTrace(sql: SqlStorage): void {
  const tables = sql
    .exec<{ name: string; sql: string }>(
      "SELECT name, sql FROM sqlite_master WHERE name IN ('jobs', 'outbox')",
    )
    .toArray();
  for (const table of tables) {
    if (!/\btrace\b/.test(table.sql)) sql.exec(`ALTER TABLE ${table.name} ADD COLUMN trace TEXT`);
  }
}

interface OutboxRow extends Record<string, SqlStorageValue> {
  id: number;
  type: string;
  order: string;
  data: string;
  at: number;
  attempts: number;
  trace: string | null;
}

/**
 * A place of the shop where jobs wait their turn: one Durable Object a tenant, its name the tenant's
 * and jurisdiction's. Jobs come in through an inbox and reports leave through an outbox, each in the
 * same transaction as what they are about.
 */
export function stationClass(vocabulary: StationVocabulary) {
  return class Station extends DurableObject<StationEnv> {
    readonly #sql: SqlStorage;
    #isFlushing = false;

    constructor(context: DurableObjectState, env: StationEnv) {
      super(context, env);
      this.#sql = context.storage.sql;
      this.#sql.exec(SCHEMA);
      addTrace(this.#sql);
      if (this.#oldest() !== undefined) void context.blockConcurrencyWhile(() => this.#wakeUp());
    }

    /** A report that is still to be sent and has no alarm would never leave. */
    async #wakeUp(): Promise<void> {
      if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now());
    }

    /** Takes a delivery in, once. */
    receive({ key, type, order, data, trace: given }: Delivery): void {
      const trace = given ?? null;
      const now = Date.now();
      this.ctx.storage.transactionSync(() => {
        if (!this.#remember(key, now)) return;
        if (type === vocabulary.takes) this.#take(order, data, trace, now);
        if (type === vocabulary.cancels) this.#cancel(order, now);
      });
      // Few deliveries are answered with a report; the others have nothing to send.
      if (this.#oldest() !== undefined) this.ctx.waitUntil(this.#flush());
    }

    pending(): Job[] {
      const rows = this.#sql.exec<{ order: string; state: string; ticket: string; at: number }>(
        `SELECT "order", state, ticket, at FROM jobs ORDER BY position`,
      );
      return rows.toArray().map(({ order, state, ticket, at }) => ({
        order,
        state: state as Job["state"],
        ticket: JSON.parse(ticket) as unknown,
        receivedAt: new Date(at).toISOString(),
      }));
    }

    /**
     * Begins, finishes or fails the next job, and reports it. A repeat with the same key gets the
     * first answer; null when there is nothing to do.
     */
    move(move: StationMove, data: unknown, key?: string): Report | null {
      const now = Date.now();
      const report = this.ctx.storage.transactionSync(() => {
        if (key !== undefined && !this.#remember(key, now)) return this.#answerTo(key);
        const moved = this.#moveNext(move, data, now);
        if (key !== undefined) {
          const answer = JSON.stringify(moved);
          this.#sql.exec("UPDATE inbox SET answer = ? WHERE key = ?", answer, key);
        }
        return moved;
      });
      this.ctx.waitUntil(this.#flush());
      return report;
    }

    override async alarm(): Promise<void> {
      // Should this run, or the flush that is under way, die: another follows.
      await this.ctx.storage.setAlarm(Date.now() + 30_000);
      await this.#flush();
    }

    #take(order: string, ticket: unknown, trace: string | null, now: number): void {
      // Queues keep no order: the cancellation may have come first.
      const cancelled = this.#sql.exec(`SELECT 1 FROM cancelled WHERE "order" = ?`, order);
      if (cancelled.toArray().length > 0) return;
      // Asked again for what was done: the report is late or lost, the work needn't be done twice.
      const finished = this.#sql.exec(`SELECT 1 FROM finished WHERE "order" = ?`, order);
      if (finished.toArray().length > 0) {
        this.#report(vocabulary.finishes, order, {}, trace, now);
        return;
      }
      this.#sql.exec(
        `INSERT INTO jobs ("order", state, ticket, at, trace) VALUES (?, 'pending', ?, ?, ?)
           ON CONFLICT ("order") DO UPDATE SET ticket = excluded.ticket, trace = excluded.trace`,
        order,
        JSON.stringify(ticket),
        now,
        trace,
      );
    }

    #cancel(order: string, now: number): void {
      this.#sql.exec(`DELETE FROM jobs WHERE "order" = ?`, order);
      this.#sql.exec("INSERT OR IGNORE INTO cancelled VALUES (?, ?)", order, now);
    }

    #moveNext(move: StationMove, data: unknown, now: number): Report | null {
      const wanted = move === "begin" ? "WHERE state = 'pending'" : "";
      const found = this.#sql.exec<{ position: number; order: string; trace: string | null }>(
        `SELECT position, "order", trace FROM jobs ${wanted} ORDER BY state, position LIMIT 1`,
      );
      const job = found.toArray()[0];
      if (job === undefined) return null;
      if (move === "begin") {
        this.#sql.exec("UPDATE jobs SET state = 'begun' WHERE position = ?", job.position);
      } else {
        this.#sql.exec("DELETE FROM jobs WHERE position = ?", job.position);
      }
      const types = {
        begin: vocabulary.begins,
        finish: vocabulary.finishes,
        fail: vocabulary.fails,
      };
      const type = types[move];
      if (type === undefined) return { order: job.order, type: move };
      if (move === "finish") {
        this.#sql.exec("INSERT OR IGNORE INTO finished VALUES (?, ?)", job.order, now);
      }
      this.#report(type, job.order, data, job.trace, now);
      return { order: job.order, type };
    }

    #report(type: string, order: string, data: unknown, trace: string | null, now: number): void {
      this.#sql.exec(
        `INSERT INTO outbox (type, "order", data, at, attempts, trace) VALUES (?, ?, ?, ?, 0, ?)`,
        type,
        order,
        JSON.stringify(data),
        now,
        trace,
      );
      // Should the process die before the flush that follows, this sends it.
      this.ctx.waitUntil(this.ctx.storage.setAlarm(now + 5_000));
    }

    /** Sends what is in the outbox, oldest first; what fails is tried again by the alarm. */
    async #flush(): Promise<void> {
      if (this.#isFlushing) return;
      this.#isFlushing = true;
      try {
        await this.ctx.storage.sync();
        for (let row = this.#oldest(); row !== undefined; row = this.#oldest()) {
          if (!(await this.#deliver(row))) return;
        }
        await this.ctx.storage.deleteAlarm();
      } finally {
        this.#isFlushing = false;
      }
    }

    #oldest(): OutboxRow | undefined {
      return this.#sql.exec<OutboxRow>("SELECT * FROM outbox ORDER BY id LIMIT 1").toArray()[0];
    }

    async #deliver({ id, type, order, data, at, attempts, trace }: OutboxRow): Promise<boolean> {
      const [tenant = "", jurisdiction] = (this.ctx.id.name ?? "").split("/");
      const [workflow = "", instance = ""] = order.split("/");
      try {
        await reports(this.env).send({
          source: `/${vocabulary.name}`,
          id: `${tenant}-${id}`,
          type,
          data: JSON.parse(data) as unknown,
          time: at,
          trace: trace ?? undefined,
          about: { tenant, workflow, id: instance },
          jurisdiction: (jurisdiction || undefined) as DurableObjectJurisdiction | undefined,
        });
        this.#sql.exec("DELETE FROM outbox WHERE id = ?", id);
        return true;
      } catch (error) {
        log.error(`The ${vocabulary.name} could not report ${type}`, {
          tenant,
          workflow,
          instance,
          trace,
          error,
        });
        this.#sql.exec("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?", id);
        await this.ctx.storage.setAlarm(Date.now() + backoff(attempts + 1));
        return false;
      }
    }

    /** Whether a key is new; forgets a few of the oldest on the way. */
    #remember(key: string, now: number): boolean {
      const old = now - REMEMBERED;
      this.#sql.exec(
        "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox ORDER BY id LIMIT 2) AND at < ?",
        old,
      );
      for (const table of ["cancelled", "finished"]) {
        this.#sql.exec(
          `DELETE FROM ${table} WHERE rowid IN
             (SELECT rowid FROM ${table} ORDER BY rowid LIMIT 2) AND at < ?`,
          old,
        );
      }
      const known = this.#sql.exec("SELECT 1 FROM inbox WHERE key = ?", key).toArray().length > 0;
      if (!known) this.#sql.exec("INSERT INTO inbox (key, at) VALUES (?, ?)", key, now);
      return !known;
    }

    #answerTo(key: string): Report | null {
      const row = this.#sql
        .exec<{ answer: string | null }>("SELECT answer FROM inbox WHERE key = ?", key)
        .one();
      return JSON.parse(row.answer ?? "null") as Report | null;
    }
  };
}
