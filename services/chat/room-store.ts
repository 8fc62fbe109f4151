import { Tables } from "../../src/instance/tables.ts";
import type { ChatMessage, Part } from "../contracts/chat.ts";
import { WRITE_AFTER } from "./limits.ts";

/** Whose room, about what: its name's parts, and where it is. */
export interface Home {
  tenant: string;
  jurisdiction: DurableObjectJurisdiction | null;
  workflow: string;
  id: string;
}

export interface RoomRow extends Home {
  /** Its messages are in D1 alone, or not all of them back from there yet. */
  closed: 0 | 1;
  /** The newest message's number, where it is closed. */
  last: number;
  /** The newest that D1 has. */
  written: number;
  /** How often in a row D1 could not be reached. */
  failures: number;
  /** When D1 is next written to; null where it has everything. Milliseconds since the epoch, as all times. */
  writeAt: number | null;
  /** When something was last said, or the last one left. */
  active: number;
}

const ROOM = `CREATE TABLE room (only INTEGER PRIMARY KEY CHECK (only = 1), tenant TEXT NOT NULL,
  jurisdiction TEXT, workflow TEXT NOT NULL, id TEXT NOT NULL, closed INTEGER NOT NULL,
  last INTEGER NOT NULL, written INTEGER NOT NULL, failures INTEGER NOT NULL, write_at INTEGER,
  active INTEGER NOT NULL)`;
const MESSAGES = `CREATE TABLE messages (seq INTEGER PRIMARY KEY, id TEXT NOT NULL,
  subject TEXT NOT NULL, part TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL,
  UNIQUE (subject, id))`;

type MessageRow = {
  seq: number;
  id: string;
  subject: string;
  part: string;
  text: string;
  at: number;
};

/** A message as both databases keep it. */
export function messageOf({ seq, id, subject, part, text, at }: MessageRow): ChatMessage {
  const from = { subject, part: part as Part };
  return { seq, id, from, text, at: new Date(at).toISOString() };
}

/**
 * A room's own tables. Until something is said there are none, and a room that is closed keeps the one row
 * of `room`: that it had a life, and how far its numbers went. So what is new needs no D1.
 */
export class RoomStore {
  readonly tables: Tables;
  readonly #storage: DurableObjectStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.tables = new Tables(storage.sql);
  }

  /** Null where nothing was ever said. */
  room(): RoomRow | null {
    if (!this.tables.has("room")) return null;
    const [row] = this.#all<RoomRow>(
      `SELECT tenant, jurisdiction, workflow, id, closed, last, written, failures,
         write_at AS writeAt, active FROM room`,
    );
    return row ?? null;
  }

  /** The newest message's number that is here. */
  head(): number {
    if (!this.tables.has("messages")) return 0;
    return this.#all<{ head: number }>("SELECT coalesce(max(seq), 0) AS head FROM messages")[0]!
      .head;
  }

  find(subject: string, id: string): ChatMessage | null {
    if (!this.tables.has("messages")) return null;
    const query = "SELECT * FROM messages WHERE subject = ? AND id = ?";
    const [row] = this.#all<MessageRow>(query, subject, id);
    return row === undefined ? null : messageOf(row);
  }

  /** Those after a number, in their order. */
  after(seq: number, limit: number): ChatMessage[] {
    if (!this.tables.has("messages")) return [];
    const query = "SELECT * FROM messages WHERE seq > ? ORDER BY seq LIMIT ?";
    return this.#all<MessageRow>(query, seq, limit).map(messageOf);
  }

  /** Within a transaction of the caller's. @returns when D1 is to be written to */
  append(home: Home, message: ChatMessage): number {
    const at = Date.parse(message.at);
    this.tables.ensure("room", ROOM);
    this.tables.ensure("messages", MESSAGES);
    this.#insert([message]);
    const { tenant, jurisdiction, workflow, id } = home;
    const [row] = this.#all<{ writeAt: number }>(
      `INSERT INTO room VALUES (1, ?, ?, ?, ?, 0, 0, 0, 0, ?, ?)
         ON CONFLICT DO UPDATE SET write_at = coalesce(write_at, excluded.write_at),
           active = excluded.active
         RETURNING write_at AS writeAt`,
      ...[tenant, jurisdiction, workflow, id, at + WRITE_AFTER, at],
    );
    return row!.writeAt;
  }

  /** D1 has all up to this number. */
  written(seq: number): void {
    this.#storage.sql.exec("UPDATE room SET written = ?, failures = 0", seq);
  }

  /** D1 has everything that is here. */
  upToDate(): void {
    this.#storage.sql.exec("UPDATE room SET write_at = NULL, failures = 0");
  }

  /** D1 could not be reached, or lacks what it should have. */
  failed({ failures, written }: Pick<RoomRow, "failures" | "written">, again: number): void {
    this.#storage.sql.exec(
      "UPDATE room SET failures = ?, written = ?, write_at = ?",
      ...[failures, written, again],
    );
  }

  /** The last one has left. */
  left(now: number): void {
    if (this.tables.has("room")) this.#storage.sql.exec("UPDATE room SET active = ?", now);
  }

  /** A page from D1, behind what is here. Within a transaction of the caller's. */
  restore(page: readonly ChatMessage[], now: number): void {
    this.tables.ensure("messages", MESSAGES);
    this.#insert(page);
    this.#storage.sql.exec("UPDATE room SET active = ?", now);
  }

  /** All of it is here again. */
  reopen(now: number): void {
    this.#storage.sql.exec(
      "UPDATE room SET closed = 0, written = last, failures = 0, write_at = NULL, active = ?",
      now,
    );
  }

  /** Deletes everything but how far the numbers went. D1 must have it all. */
  close(room: RoomRow, last: number): Promise<void> {
    const keep = () => {
      const { tenant, jurisdiction, workflow, id, active } = room;
      this.tables.ensure("room", ROOM);
      this.#storage.sql.exec(
        "INSERT OR REPLACE INTO room VALUES (1, ?, ?, ?, ?, 1, ?, ?, 0, NULL, ?)",
        ...[tenant, jurisdiction, workflow, id, last, last, active],
      );
    };
    this.#storage.transactionSync(() => {
      keep();
      this.#storage.sql.exec("DROP TABLE IF EXISTS messages");
    });
    // No await between: what is written next is committed together with it.
    const deleted = this.#storage.deleteAll();
    this.tables.forget();
    this.#storage.transactionSync(keep);
    return deleted;
  }

  /** Nothing was ever said: nothing stays. */
  async forget(): Promise<void> {
    const deleted = this.#storage.deleteAll();
    this.tables.forget();
    await deleted;
  }

  /** Until when tickets are known that were used; null where none are. */
  ticketsUntil(): number | null {
    if (!this.tables.has("used_tickets")) return null;
    return this.#all<{ until: number | null }>("SELECT max(expires) AS until FROM used_tickets")[0]!
      .until;
  }

  #insert(messages: readonly ChatMessage[]): void {
    for (const { seq, id, from, text, at } of messages) {
      this.#storage.sql.exec(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?)",
        ...[seq, id, from.subject, from.part, text, Date.parse(at)],
      );
    }
  }

  #all<Row extends object>(query: string, ...values: SqlStorageValue[]): Row[] {
    type Plain = Row & Record<string, SqlStorageValue>;
    return this.#storage.sql.exec<Plain>(query, ...values).toArray();
  }
}
