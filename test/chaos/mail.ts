import { DurableObject } from "cloudflare:workers";
import { randomFrom } from "../support/random.ts";

/**
 * What stands in for Cloudflare's queue and D1. Locally a queue lives in memory and dies with its
 * process; the platform's doesn't. So this one is an object: it has taken a message when it is on the
 * disk, and from then on delivers it late, twice and in any order. D1 is SQLite in an object, here as
 * there.
 */
export interface MailEnv {
  MAIL: DurableObjectNamespace<InstanceType<ReturnType<typeof mailClass>>>;
  DATABASE: DurableObjectNamespace<Database>;
  LIST_SCHEMA: string;
  SEED: string;
}

/** When the list had what an instance told it. */
export interface Arrival {
  id: string;
  epoch: number;
  seq: number;
  at: number;
}

const TICK = 50;
const BATCH = 40;

/** Of a hundred messages. */
const LATE = 20;
const TWICE = 20;
const FAILED = 10;

interface Body {
  id: string;
  epoch: number;
  seq: number;
}

type Mail = Record<string, SqlStorageValue> & { position: number; body: string; attempts: number };

export function mailClass(deliver: (batch: MessageBatch, env: unknown) => Promise<void>) {
  return class MailObject extends DurableObject<MailEnv> {
    readonly #random = randomFrom(Number(this.env.SEED) + (Date.now() % 1_000));
    readonly #sql = this.ctx.storage.sql;

    constructor(context: DurableObjectState, env: MailEnv) {
      super(context, env);
      this.#sql.exec(`CREATE TABLE IF NOT EXISTS mail (
        position INTEGER PRIMARY KEY, body TEXT NOT NULL, due INTEGER NOT NULL,
        attempts INTEGER NOT NULL)`);
      this.#sql.exec(`CREATE TABLE IF NOT EXISTS arrivals (
        id TEXT NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL)`);
    }

    async take(body: string): Promise<void> {
      if (this.#isLucky(FAILED)) throw new Error("The queue is having a bad moment");
      this.#insert(body, 1);
      const alarm = await this.ctx.storage.getAlarm();
      if (alarm === null) await this.ctx.storage.setAlarm(Date.now() + TICK);
    }

    /** All that has arrived, and how much is under way. */
    report(): { arrivals: Arrival[]; left: number } {
      const arrivals = this.#sql.exec("SELECT * FROM arrivals").toArray() as unknown as Arrival[];
      const { left } = this.#sql.exec<{ left: number }>("SELECT count(*) AS left FROM mail").one();
      return { arrivals, left };
    }

    override async alarm(): Promise<void> {
      await this.ctx.storage.setAlarm(Date.now() + TICK);
      const found = this.#sql
        .exec<Mail>("SELECT position, body, attempts FROM mail WHERE due <= ?", Date.now())
        .toArray();
      const batch = found.toSorted(() => this.#random() - 0.5).slice(0, BATCH);
      if (batch.length > 0) await this.#deliver(batch);
      if (this.report().left === 0) await this.ctx.storage.deleteAlarm();
    }

    async #deliver(mail: Mail[]): Promise<void> {
      const acked = new Set<Mail>();
      const messages = mail.map((one) => ({
        id: String(one.position),
        timestamp: new Date(),
        attempts: one.attempts,
        body: JSON.parse(one.body) as unknown,
        ack: () => void acked.add(one),
        retry: () => {},
      }));
      const batch = { queue: "durachart-list", messages };
      await deliver(batch as unknown as MessageBatch, this.env);
      const at = Date.now();
      for (const one of mail) {
        this.#sql.exec("DELETE FROM mail WHERE position = ?", one.position);
        const { id, epoch, seq } = JSON.parse(one.body) as Body;
        if (acked.has(one)) {
          this.#sql.exec("INSERT INTO arrivals VALUES (?, ?, ?, ?)", id, epoch, seq, at);
        }
        if (!acked.has(one) || (one.attempts === 1 && this.#isLucky(TWICE))) {
          this.#insert(one.body, one.attempts + 1);
        }
      }
    }

    #insert(body: string, attempts: number): void {
      // The platform waits for a second to fill a batch.
      const delay = this.#random() * (attempts > 1 || this.#isLucky(LATE) ? 4_000 : 1_000);
      const due = Date.now() + Math.floor(delay);
      this.#sql.exec("INSERT INTO mail VALUES (NULL, ?, ?, ?)", body, due, attempts);
    }

    #isLucky(ofHundred: number): boolean {
      return this.#random() * 100 < ofHundred;
    }
  };
}

/** D1's database: each statement is a transaction. */
export class Database extends DurableObject<MailEnv> {
  constructor(context: DurableObjectState, env: MailEnv) {
    super(context, env);
    const { sql } = context.storage;
    const tables = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'instances'").toArray();
    if (tables.length === 0) sql.exec(env.LIST_SCHEMA);
  }

  query(statement: string, values: SqlStorageValue[]): Record<string, SqlStorageValue>[] {
    return this.ctx.storage.transactionSync(() =>
      this.ctx.storage.sql.exec(statement, ...values).toArray(),
    );
  }
}

/** As much of D1 as the list uses. */
export function databaseOf({ DATABASE }: MailEnv): D1Database {
  const prepare = (statement: string) => ({
    bind: (...values: SqlStorageValue[]) => {
      const all = async () => ({
        results: await DATABASE.getByName("list").query(statement, values),
      });
      const first = async () => (await all()).results[0] ?? null;
      return { all, first, run: all };
    },
  });
  return { prepare } as unknown as D1Database;
}

/** The instances' end of the queue. */
export function queueOf({ MAIL }: MailEnv): Pick<Queue, "send"> {
  return {
    send: async (body) => {
      await MAIL.getByName("mail").take(JSON.stringify(body));
      return { metadata: { metrics: { backlogCount: 0, backlogBytes: 0 } } };
    },
  };
}
