import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Projection } from "../../src/contract/projection.ts";
import type { Buried } from "../../src/ingress/queue.ts";
import app from "./worker.ts";

let objects = 0;

/** The id of an object that no other test uses. */
export function freshObject(): string {
  objects += 1;
  return (
    objects.toString(16).padStart(8, "0") +
    crypto.randomUUID().replaceAll("-", "").repeat(2).slice(0, 56)
  );
}

/** What an instance might tell the list. */
export function projection(more: Partial<Projection> = {}): Projection {
  const object = more.object ?? freshObject();
  return {
    ...{ object, tenant: "tropical", workflow: "orders", id: `o-${object.slice(0, 8)}` },
    ...{ jurisdiction: null, epoch: 1, seq: 1, revision: 1, version: "1", status: "active" },
    ...{ state: "orderPizza", states: ["orderPizza"], attributes: {}, incidents: [], due: null },
    ...{ createdAt: 1_900_000_000_000, updatedAt: 1_900_000_000_000 },
    ...more,
  };
}

/** Brings messages to the consumer as one batch, and gives what became of them. */
export async function consume(
  bodies: unknown[],
  bindings: Record<string, unknown> = {},
): Promise<{ letters: Buried[]; acks: number; retries: number }> {
  const letters: Buried[] = [];
  const collecting = { send: (letter: Buried) => Promise.resolve(void letters.push(letter)) };
  const timestamp = new Date();
  const messages = bodies.map((body) => ({
    id: crypto.randomUUID(),
    timestamp,
    attempts: 1,
    body,
  }));
  const batch = createMessageBatch("durachart-list", messages);
  const context = createExecutionContext();
  await app.queue(batch, { ...env, DEAD_LETTERS: collecting as unknown as Queue, ...bindings });
  const { explicitAcks, retryMessages } = await getQueueResult(batch, context);
  return { letters, acks: explicitAcks.length, retries: retryMessages.length };
}

/** A database that counts the statements and rows it is asked for. */
export function metered(database: D1Database) {
  const meter = { statements: 0, rowsWritten: 0, rowsRead: 0 };
  const note = <Result extends { meta: D1Meta }>(result: Result): Result => {
    meter.statements += 1;
    meter.rowsWritten += result.meta.rows_written;
    meter.rowsRead += result.meta.rows_read;
    return result;
  };
  const prepare = (sql: string) => {
    const wrap = (statement: D1PreparedStatement): D1PreparedStatement =>
      ({
        bind: (...values: unknown[]) => wrap(statement.bind(...values)),
        run: async () => note(await statement.run()),
        all: async () => note(await statement.all()),
      }) as unknown as D1PreparedStatement;
    return wrap(database.prepare(sql));
  };
  return { meter, database: { prepare } as unknown as D1Database };
}

/** All rows of a table of the list. */
export async function rowsOf<Row = Record<string, unknown>>(
  table: "instances" | "labels" | "counts" | "alerts",
  database: D1Database = env.LIST,
): Promise<Row[]> {
  const { results } = await database.prepare(`SELECT * FROM ${table}`).all<Row>();
  return results;
}

export async function rowOf(object: string): Promise<Record<string, unknown> | null> {
  return env.LIST.prepare("SELECT * FROM instances WHERE object = ?").bind(object).first();
}
