import { refusal } from "../../src/contract/problem.ts";
import type { ChatMessage } from "../contracts/chat.ts";
import { within } from "../../src/contract/within.ts";
import { messageOf, type Home } from "./room-store.ts";

/** Milliseconds that D1 has for an answer: a room's alarm is not to wait for ever. */
const PATIENCE = 20_000;
const heard = <Answer>(answer: Promise<Answer>): Promise<Answer> =>
  within(answer, PATIENCE, `D1 gave no answer in ${PATIENCE} ms.`);

/** One room's messages in D1, where they are written behind. */
export class Archive {
  readonly #database: D1Database;
  readonly #room: [tenant: string, jurisdiction: string, order: string];

  /**
   * A jurisdiction has a database of its own, bound as `CHAT_DB_EU`, `CHAT_DB_FEDRAMP_HIGH` and so on.
   *
   * @throws ProblemError not-configured naming the binding
   */
  constructor(env: unknown, { tenant, jurisdiction, workflow, id }: Home) {
    const where = jurisdiction?.toUpperCase().replaceAll("-", "_");
    const name = where === undefined ? "CHAT_DB" : `CHAT_DB_${where}`;
    const database = ((env ?? {}) as Record<string, D1Database | undefined>)[name];
    if (database === undefined) {
      throw refusal("not-configured", `The chat has no D1 database bound as ${name}. Bind one.`);
    }
    this.#database = database;
    this.#room = [tenant, jurisdiction ?? "", `${workflow}/${id}`];
  }

  /**
   * Writes a batch by one statement, and sees that it is there; once more does no harm. The list goes as
   * JSON, since D1 binds at most 100 parameters; CROSS JOIN has SQLite look up each of it by the key.
   *
   * @throws Error where D1 has something else under one of the numbers
   */
  async write(messages: readonly ChatMessage[]): Promise<void> {
    const rows = JSON.stringify(
      messages.map(({ seq, id, from: { subject, part }, text, at }) => ({
        ...{ seq, id, subject, part, text, at: Date.parse(at) },
      })),
    );
    const writing = this.#database.batch<{ same: number }>([
      this.#database
        .prepare(
          `INSERT OR IGNORE INTO messages
             SELECT ?1, ?2, ?3, value ->> 'seq', value ->> 'id', value ->> 'subject',
                    value ->> 'part', value ->> 'text', value ->> 'at'
               FROM json_each(?4)`,
        )
        .bind(...this.#room, rows),
      this.#database
        .prepare(
          `SELECT count(*) AS same FROM json_each(?4) CROSS JOIN messages
             ON tenant = ?1 AND jurisdiction = ?2 AND "order" = ?3 AND seq = value ->> 'seq'
            AND messages.id = value ->> 'id' AND subject = value ->> 'subject'
            AND text = value ->> 'text'`,
        )
        .bind(...this.#room, rows),
    ]);
    const [, found] = await heard(writing);
    const same = found?.results[0]?.same;
    if (same === messages.length) return;
    const { seq } = messages[0]!;
    throw new Error(
      `Of ${messages.length} messages of ${this.#room[2]} from number ${seq} on D1 has ${same} as they are: something else stands under the others' numbers.`,
    );
  }

  /** Those after a number, in their order. */
  async read(after: number, limit: number): Promise<ChatMessage[]> {
    const reading = this.#database
      .prepare(
        `SELECT seq, id, subject, part, text, at FROM messages
           WHERE tenant = ?1 AND jurisdiction = ?2 AND "order" = ?3 AND seq > ?4
           ORDER BY seq LIMIT ?5`,
      )
      .bind(...this.#room, after, limit)
      .all<Parameters<typeof messageOf>[0]>();
    const { results } = await heard(reading);
    return results.map(messageOf);
  }

  /** How many there are. */
  async count(): Promise<number> {
    const counting = this.#database
      .prepare(
        `SELECT count(*) AS count FROM messages
           WHERE tenant = ? AND jurisdiction = ? AND "order" = ?`,
      )
      .bind(...this.#room)
      .first<{ count: number }>();
    return (await heard(counting))!.count;
  }
}
