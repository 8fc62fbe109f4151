import type { DeliveryLogEntry } from "../contract/webhooks.ts";

/** Entries kept of each endpoint; the oldest go first. */
export const MAX_LOG = 1_000;

const MAX_ERROR = 500;

export const LOG_SCHEMA = `
  CREATE TABLE IF NOT EXISTS log (
    position INTEGER PRIMARY KEY AUTOINCREMENT, endpoint TEXT NOT NULL, delivery TEXT NOT NULL,
    type TEXT NOT NULL, subject TEXT NOT NULL, at INTEGER NOT NULL, attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL, status INTEGER, duration INTEGER, error TEXT);
  CREATE INDEX IF NOT EXISTS log_of ON log (endpoint, position);
`;

export type NewLogEntry = Omit<DeliveryLogEntry, "position" | "at"> & {
  endpoint: string;
  /** Milliseconds since the epoch. */
  at: number;
};

type Row = Omit<DeliveryLogEntry, "at"> & { at: number } & Record<string, SqlStorageValue>;

/** What became of deliveries, try by try: without what was in them. */
export class DeliveryLog {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  append(entry: NewLogEntry): void {
    const { endpoint, delivery, type, subject, at, attempt, outcome, status, duration } = entry;
    const error = entry.error?.slice(0, MAX_ERROR) ?? null;
    this.#sql.exec(
      `INSERT INTO log (endpoint, delivery, type, subject, at, attempt, outcome, status, duration, error)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[endpoint, delivery, type, subject, at, attempt, outcome, status, duration, error],
    );
    this.#sql.exec(
      `DELETE FROM log WHERE position = (
         SELECT position FROM log WHERE endpoint = ?1 ORDER BY position DESC LIMIT 1 OFFSET ?2)`,
      endpoint,
      MAX_LOG,
    );
  }

  /** Entries of an endpoint after a position, oldest first. */
  read(endpoint: string, after: number, limit: number): DeliveryLogEntry[] {
    return this.#sql
      .exec<Row>(
        `SELECT position, delivery, type, subject, at, attempt, outcome, status, duration, error
           FROM log WHERE endpoint = ? AND position > ? ORDER BY position LIMIT ?`,
        ...[endpoint, after, limit],
      )
      .toArray()
      .map((row) => ({ ...row, at: new Date(row.at).toISOString() }));
  }

  /** How a delivery ended that isn't there any more, as far as the log still says. */
  endOf(delivery: string): { endpoint: string; outcome: "delivered" | "discarded" } | undefined {
    return this.#sql
      .exec<{ endpoint: string; outcome: "delivered" | "discarded" }>(
        `SELECT endpoint, outcome FROM log
           WHERE delivery = ? AND outcome IN ('delivered', 'discarded') ORDER BY position DESC LIMIT 1`,
        delivery,
      )
      .toArray()[0];
  }

  removeEndpoint(endpoint: string): void {
    this.#sql.exec("DELETE FROM log WHERE endpoint = ?", endpoint);
  }

  eraseSubject(subject: string): void {
    this.#sql.exec("DELETE FROM log WHERE subject = ?", subject);
  }
}
