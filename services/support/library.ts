import { DurableObject } from "cloudflare:workers";
import type { SupportEnv } from "./env.ts";
import { Holdings, type NewHolding, type Taken } from "./holdings.ts";
import type { Found, Passage } from "./retrieval.ts";

/** Questions of one caller in a window, and its milliseconds. */
export const MOST_QUESTIONS = 20;
const WINDOW = 60_000;

/** The documents of one realm, and who asks how often. Each method is one transaction and may be called again. */
export class Library extends DurableObject<SupportEnv> {
  readonly #sql: SqlStorage;
  readonly #holdings: Holdings;

  constructor(context: DurableObjectState, env: SupportEnv) {
    super(context, env);
    this.#sql = context.storage.sql;
    this.#holdings = new Holdings(this.#sql);
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS askers (
      subject TEXT PRIMARY KEY, since INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID`);
  }

  /** Counts a question. @returns 0, or the seconds until the caller may ask the next */
  admit(subject: string): number {
    const now = Date.now();
    return this.ctx.storage.transactionSync(() => {
      this.#sql.exec("DELETE FROM askers WHERE since <= ?", now - WINDOW);
      const { since, count } = this.#sql
        .exec<{ since: number; count: number }>(
          `INSERT INTO askers (subject, since, count) VALUES (?1, ?2, 1)
           ON CONFLICT DO UPDATE SET count = min(count + 1, ${MOST_QUESTIONS + 1}) RETURNING since, count`,
          ...[subject, now],
        )
        .one();
      return count <= MOST_QUESTIONS ? 0 : Math.max(1, Math.ceil((since + WINDOW - now) / 1_000));
    });
  }

  /** The version of a document that is about to be put or removed; null where there are too many. */
  claim(id: string, isRemoval: boolean): number | null {
    if (!isRemoval && !this.#holdings.hasRoomFor(id)) return null;
    return this.#holdings.nextVersion(Date.now());
  }

  /** @param holding null to remove it */
  take(id: string, version: number, holding: NewHolding | null): Taken {
    return this.ctx.storage.transactionSync(() => this.#holdings.take(id, version, holding));
  }

  forget(keys: readonly string[]): void {
    this.ctx.storage.transactionSync(() => this.#holdings.forget(keys));
  }

  documents(): { id: string; title: string }[] {
    return this.#holdings.list();
  }

  search(question: string): Found {
    return this.#holdings.search(question);
  }

  withKeys(keys: readonly string[]): (Passage & { key: string })[] {
    return this.#holdings.withKeys(keys);
  }
}
