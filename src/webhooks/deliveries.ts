import { hashOf } from "./names.ts";

/** What is to be delivered to one endpoint. */
export interface Delivery {
  /** Grows in the order in which deliveries came. */
  position: number;
  /** The `webhook-id`. */
  id: string;
  endpoint: string;
  source: string;
  message: string;
  type: string;
  /** `{workflow}/{id}`: those of one subject go one after the other. */
  subject: string;
  /** The CloudEvent as JSON. */
  body: string;
  state: "waiting" | "parked";
  attempts: number;
  /** When it is to be tried; null where it is parked, or waits for an earlier one of its subject. */
  due: number | null;
  createdAt: number;
  /** Since when it has been tried: a person who sends it again begins anew. */
  since: number;
  error: string | null;
}

type Row = Delivery & Record<string, SqlStorageValue>;

/** An addressed message: what a delivery is made of. */
export type NewDelivery = Pick<
  Delivery,
  "id" | "endpoint" | "source" | "message" | "type" | "subject" | "body"
>;

/** Repeats are known for longer than any instance tries a message. */
const REMEMBERED = 15 * 86_400_000;

/** How long messages about an erased instance are refused: those that were on their way. */
const ERASED_FOR = 86_400_000;

export const DELIVERY_SCHEMA = `
  CREATE TABLE IF NOT EXISTS deliveries (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, endpoint TEXT NOT NULL,
    source TEXT NOT NULL, message TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL, due INTEGER,
    created_at INTEGER NOT NULL, since INTEGER NOT NULL, error TEXT);
  CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (endpoint, due) WHERE due IS NOT NULL;
  CREATE INDEX IF NOT EXISTS deliveries_of ON deliveries (endpoint, state, subject, position);
  CREATE TABLE IF NOT EXISTS seen (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS erased (subject TEXT PRIMARY KEY, at INTEGER NOT NULL);
`;

const COLUMNS = `position, id, endpoint, source, message, type, subject, body, state, attempts, due,
  created_at AS createdAt, since, error`;

/**
 * The outbox. Only the first that waits of each subject at each endpoint has a time at which it is due:
 * so what is to be done next is found by an index, however much waits behind it.
 */
export class DeliveryTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Takes a delivery in, once. @returns whether it is new */
  add(delivery: NewDelivery, now: number): boolean {
    this.#sql.exec(
      "DELETE FROM seen WHERE position IN (SELECT position FROM seen ORDER BY position LIMIT 2) AND at < ?",
      now - REMEMBERED,
    );
    const { id, endpoint, source, message, type, subject, body } = delivery;
    if (this.#sql.exec("SELECT 1 FROM seen WHERE id = ?", id).toArray().length > 0) return false;
    this.#sql.exec("INSERT INTO seen (id, at) VALUES (?, ?)", id, now);
    const due = this.#first(endpoint, subject) === undefined ? now : null;
    this.#sql.exec(
      `INSERT INTO deliveries (id, endpoint, source, message, type, subject, body, state, attempts,
           due, created_at, since)
         VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, ?)`,
      ...[id, endpoint, source, message, type, subject, body, due, now, now],
    );
    return true;
  }

  find(id: string): Delivery | undefined {
    return this.#read("WHERE id = ?", id)[0];
  }

  /** The longest due first. */
  due(endpoint: string, now: number, limit: number): Delivery[] {
    return this.#read("WHERE endpoint = ? AND due <= ? ORDER BY due LIMIT ?", endpoint, now, limit);
  }

  /** When there is next something to do at an endpoint; Infinity for never. */
  nextDue(endpoint: string): number {
    const row = this.#sql.exec<{ at: number | null }>(
      "SELECT min(due) AS at FROM deliveries WHERE endpoint = ? AND due IS NOT NULL",
      endpoint,
    );
    return row.one().at ?? Infinity;
  }

  list(state: Delivery["state"], endpoint: string, limit: number): Delivery[] {
    return this.#read(
      "WHERE endpoint = ? AND state = ? ORDER BY position LIMIT ?",
      ...[endpoint, state, limit],
    );
  }

  count(endpoint: string, state: Delivery["state"]): number {
    return this.#sql
      .exec<{ n: number }>(
        "SELECT count(*) AS n FROM deliveries WHERE endpoint = ? AND state = ?",
        endpoint,
        state,
      )
      .one().n;
  }

  /** A try begins: it counts even if the process dies of it, and is another's when its lease ends. */
  beginTry({ id, attempts }: Delivery, leaseUntil: number): void {
    this.#sql.exec(
      "UPDATE deliveries SET attempts = ?, due = ? WHERE id = ?",
      ...[attempts + 1, leaseUntil, id],
    );
  }

  renew(id: string, leaseUntil: number): void {
    this.#sql.exec("UPDATE deliveries SET due = ? WHERE id = ?", leaseUntil, id);
  }

  putOff(id: string, due: number, error: string): void {
    this.#sql.exec("UPDATE deliveries SET due = ?, error = ? WHERE id = ?", due, error, id);
  }

  /** What comes after it at once has its turn. */
  park({ id, endpoint, subject }: Delivery, error: string, now: number): void {
    this.#sql.exec(
      "UPDATE deliveries SET state = 'parked', due = NULL, error = ? WHERE id = ?",
      error,
      id,
    );
    this.#promote(endpoint, subject, now);
  }

  /** @returns those that waited */
  parkAll(endpoint: string, error: string): Delivery[] {
    return this.#sql
      .exec<Row>(
        `UPDATE deliveries SET state = 'parked', due = NULL, error = ?
           WHERE endpoint = ? AND state = 'waiting' RETURNING ${COLUMNS.replace("body", "'' AS body")}`,
        error,
        endpoint,
      )
      .toArray();
  }

  remove({ id, endpoint, subject }: Delivery, now: number): void {
    this.#sql.exec("DELETE FROM deliveries WHERE id = ?", id);
    this.#promote(endpoint, subject, now);
  }

  /** A parked one waits again, behind those of its subject that wait already. */
  unpark({ id, endpoint, subject }: Delivery, now: number): void {
    const due = this.#first(endpoint, subject) === undefined ? now : null;
    this.#sql.exec(
      `UPDATE deliveries SET state = 'waiting', attempts = 0, due = ?, since = ?,
           position = (SELECT max(position) + 1 FROM deliveries) WHERE id = ?`,
      ...[due, now, id],
    );
  }

  removeEndpoint(endpoint: string): void {
    this.#sql.exec("DELETE FROM deliveries WHERE endpoint = ?", endpoint);
  }

  /** Forgets what there is about an instance, and for a day takes nothing more about it. */
  eraseSubject(subject: string, endpoints: readonly string[], now: number): void {
    this.#sql.exec("DELETE FROM erased WHERE at < ?", now - ERASED_FOR);
    this.#sql.exec("INSERT OR REPLACE INTO erased VALUES (?, ?)", hashOf(subject), now);
    for (const endpoint of endpoints) {
      this.#sql.exec(
        `DELETE FROM deliveries
           WHERE endpoint = ? AND state IN ('waiting', 'parked') AND subject = ?`,
        endpoint,
        subject,
      );
    }
  }

  wasErased(subject: string): boolean {
    return (
      this.#sql.exec("SELECT 1 FROM erased WHERE subject = ?", hashOf(subject)).toArray().length > 0
    );
  }

  #promote(endpoint: string, subject: string, now: number): void {
    const first = this.#first(endpoint, subject);
    if (first === undefined) return;
    this.#sql.exec("UPDATE deliveries SET due = ? WHERE position = ? AND due IS NULL", now, first);
  }

  #first(endpoint: string, subject: string): number | undefined {
    return this.#sql
      .exec<{ position: number }>(
        `SELECT position FROM deliveries WHERE endpoint = ? AND state = 'waiting' AND subject = ?
           ORDER BY position LIMIT 1`,
        endpoint,
        subject,
      )
      .toArray()[0]?.position;
  }

  #read(clause: string, ...parameters: (string | number)[]): Delivery[] {
    return this.#sql
      .exec<Row>(`SELECT ${COLUMNS} FROM deliveries ${clause}`, ...parameters)
      .toArray();
  }
}
