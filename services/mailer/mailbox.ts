import type { Realm } from "../../src/contract/realm.ts";
import type { MailboxEntry } from "../contracts/mail.ts";
import type { MailProvider, OutgoingMail } from "./provider.ts";

interface Row extends Omit<MailboxEntry, "id" | "to" | "at"> {
  key: string;
  recipient: string;
  at: number;
}

/** Mails that are shown in one go. */
const MOST = 100;

/** The provider of local development: nothing leaves the machine, and a browser shows it. One realm's. */
export class LocalMailbox implements MailProvider {
  /** Longer than any mail's row is kept: what comes again meets the mail itself. */
  readonly remembers = Infinity;
  readonly #database: D1Database;
  readonly #whose: [tenant: string, jurisdiction: string];

  constructor(database: D1Database, { tenant, jurisdiction }: Realm) {
    this.#database = database;
    this.#whose = [tenant, jurisdiction ?? ""];
  }

  async send({ to, subject, text, html }: OutgoingMail, idempotencyKey: string): Promise<void> {
    await this.#database
      .prepare(
        `INSERT OR IGNORE INTO mailbox (tenant, jurisdiction, key, recipient, subject, text, html, at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .bind(...this.#whose, idempotencyKey, to, subject, text, html, Date.now())
      .run();
  }

  /** The newest first. @param to an address, as it was written to */
  async mails(to?: string): Promise<MailboxEntry[]> {
    const { results } = await this.#database
      .prepare(
        `SELECT key, recipient, subject, text, html, at FROM mailbox
           WHERE tenant = ?1 AND jurisdiction = ?2 AND (?3 IS NULL OR recipient = ?3)
           ORDER BY at DESC, key LIMIT ?4`,
      )
      .bind(...this.#whose, to ?? null, MOST)
      .all<Row>();
    return results.map(({ key: id, recipient, at, ...mail }) => {
      return { id, to: recipient, ...mail, at: new Date(at).toISOString() };
    });
  }
}
