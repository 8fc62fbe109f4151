import { hexOf } from "../../src/contract/payload.ts";
import { refusal } from "../../src/contract/problem.ts";
import type { Realm } from "../../src/contract/realm.ts";

/** Milliseconds that a mail is one consumer's; more than the provider may take for its answer. */
export const LEASE = 60_000;

/** Which mail: as the event that asked for it is named. */
export interface MailName {
  source: string;
  id: string;
}

interface Row {
  state: "claimed" | "sent" | "unaddressed";
  claim: string;
  asked_at: number | null;
}

/** In every statement: one mail of one realm. */
const THIS = "tenant = ?1 AND jurisdiction = ?2 AND source = ?3 AND id = ?4";

/** What is noted of one mail, so that it is sent once. */
export class MailNote {
  readonly #database: D1Database;
  readonly #name: [tenant: string, jurisdiction: string, source: string, id: string];

  constructor(database: D1Database, { tenant, jurisdiction }: Realm, { source, id }: MailName) {
    this.#database = database;
    this.#name = [tenant, jurisdiction ?? "", source, id];
  }

  /**
   * Makes the mail this consumer's for a while; one that has died with it loses it then.
   *
   * @returns null where nothing is to be done any more
   * @throws ProblemError overloaded while it is another's
   */
  async claim(now: number): Promise<Claim | null> {
    const claim = crypto.randomUUID();
    const [, found] = await this.#database.batch<Row>([
      this.prepare(
        `INSERT INTO mails (tenant, jurisdiction, source, id, state, claim, leased_until, noted_at)
           VALUES (?1, ?2, ?3, ?4, 'claimed', ?5, ?6, ?7)
           ON CONFLICT DO UPDATE SET claim = excluded.claim, leased_until = excluded.leased_until
             WHERE state = 'claimed' AND leased_until <= ?7`,
        ...[claim, now + LEASE, now],
      ),
      this.prepare(`SELECT state, claim, asked_at FROM mails WHERE ${THIS}`),
    ]);
    const row = found!.results[0]!;
    if (row.state !== "claimed") return null;
    if (row.claim === claim) return new Claim(this, claim, row.asked_at);
    throw refusal("overloaded", "Another consumer is at this mail. It is looked at again.");
  }

  prepare(statement: string, ...values: (string | number | null)[]): D1PreparedStatement {
    return this.#database.prepare(statement).bind(...this.#name, ...values);
  }

  /** The mail's name as a provider knows it: SHA-256 in hexadecimal, since others read it. */
  async key(): Promise<string> {
    const name = new TextEncoder().encode(JSON.stringify(this.#name));
    return hexOf(await crypto.subtle.digest("SHA-256", name));
  }
}

/** A mail that is one consumer's. */
export class Claim {
  /** When the provider was first asked, where it has not clearly refused since. */
  readonly askedAt: number | null;
  readonly #note: MailNote;
  readonly #claim: string;

  constructor(note: MailNote, claim: string, askedAt: number | null) {
    this.askedAt = askedAt;
    this.#note = note;
    this.#claim = claim;
  }

  /**
   * Before the provider is asked: from then on it isn't known whether it has the mail.
   *
   * @throws ProblemError overloaded where the lease has ended, and another consumer has begun
   */
  async noteAsking(now: number): Promise<void> {
    const noted = await this.#note
      .prepare(
        `UPDATE mails SET asked_at = coalesce(asked_at, ?6), leased_until = ?7
           WHERE ${THIS} AND claim = ?5 AND state = 'claimed' RETURNING claim`,
        ...[this.#claim, now, now + LEASE],
      )
      .first();
    if (noted === null) throw refusal("overloaded", "Another consumer has taken this mail over.");
  }

  /** It is done with, whoever has claimed it since. */
  async settle(state: "sent" | "unaddressed", now: number): Promise<void> {
    await this.#note
      .prepare(
        `UPDATE mails SET state = ?5, claim = '', leased_until = 0, noted_at = ?6
           WHERE ${THIS} AND state = 'claimed'`,
        ...[state, now],
      )
      .run();
  }

  /**
   * Gives it back, to be tried again at once.
   *
   * @param isRefused whether the provider surely has not taken it this time
   */
  async release(isRefused: boolean): Promise<void> {
    const { askedAt } = this;
    await this.#note
      .prepare(
        `UPDATE mails SET claim = '', leased_until = 0${isRefused ? ", asked_at = ?6" : ""}
           WHERE ${THIS} AND claim = ?5 AND state = 'claimed'`,
        ...(isRefused ? [this.#claim, askedAt] : [this.#claim]),
      )
      .run();
  }
}

/** Rows that one statement forgets, and statements of one run: what is left waits for the next. */
const FORGOTTEN_AT_ONCE = 1_000;
const MOST_STATEMENTS = 50;

/**
 * Removes what was noted before then. A mail of which nobody knows whether it was sent stays noted: it
 * must not be sent afresh.
 *
 * @returns how many mails, of the ledger and of the local mailbox
 */
export async function forgetMails(database: D1Database, before: number): Promise<number> {
  const ledger = `DELETE FROM mails WHERE (tenant, jurisdiction, source, id) IN
    (SELECT tenant, jurisdiction, source, id FROM mails
       WHERE noted_at < ?1 AND NOT (state = 'claimed' AND asked_at IS NOT NULL) LIMIT ?2)`;
  const mailbox = `DELETE FROM mailbox WHERE key IN
    (SELECT key FROM mailbox WHERE at < ?1 ORDER BY at LIMIT ?2)`;
  let forgotten = 0;
  for (const statement of [ledger, mailbox]) {
    for (let run = 0; run < MOST_STATEMENTS; run += 1) {
      const { results } = await database
        .prepare(`${statement} RETURNING 1`)
        .bind(before, FORGOTTEN_AT_ONCE)
        .all();
      forgotten += results.length;
      if (results.length < FORGOTTEN_AT_ONCE) break;
    }
  }
  return forgotten;
}
