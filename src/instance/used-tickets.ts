import { refusal } from "../contract/problem.ts";
import type { Tables } from "./tables.ts";

const SCHEMA =
  "CREATE TABLE used_tickets (id TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID";

/** Tickets by which sockets were opened: each is good once. Past its time the door refuses it anyhow. */
export class UsedTickets {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** @throws ProblemError unauthenticated where it was used before */
  use({ id, expires }: { id: string; expires: number }, now: number): void {
    this.#tables.ensure("used_tickets", SCHEMA);
    const { sql } = this.#tables;
    if (sql.exec("SELECT 1 FROM used_tickets WHERE id = ?", id).toArray().length > 0) {
      throw refusal("unauthenticated", "The ticket was used before. Ask for another one.");
    }
    sql.exec("DELETE FROM used_tickets WHERE expires < ?", now - LEEWAY);
    sql.exec("INSERT INTO used_tickets VALUES (?, ?)", id, expires);
  }
}

/** By how much the clocks of the door and of the object may differ, in milliseconds. */
const LEEWAY = 60_000;
