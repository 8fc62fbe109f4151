import type { StartRequest } from "../contract/requests.ts";
import { backoff } from "../egress/timing.ts";
import type { Tables } from "./tables.ts";

/** An instance that is to begin later. Times are milliseconds since the epoch. */
export interface Scheduled {
  request: StartRequest;
  version: string;
  createdAt: number;
  startAt: number;
  /** When it is tried next; null where it waits for a person. */
  due: number | null;
  failures: number;
  error: string | null;
}

/** Tries of a beginning that the chart throws on, before a person is needed. */
const MAX_TRIES = 5;

const SCHEMA = `CREATE TABLE scheduled (
  one INTEGER PRIMARY KEY, request TEXT NOT NULL, version TEXT NOT NULL,
  created_at INTEGER NOT NULL, start_at INTEGER NOT NULL, due INTEGER, failures INTEGER NOT NULL,
  error TEXT)`;

export class Schedule {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  read(): Scheduled | null {
    if (!this.#tables.has("scheduled")) return null;
    const [row] = this.#tables.sql
      .exec<Record<string, SqlStorageValue> & Omit<Scheduled, "request"> & { request: string }>(
        `SELECT request, version, created_at AS createdAt, start_at AS startAt, due, failures, error
           FROM scheduled`,
      )
      .toArray();
    if (row === undefined) return null;
    return { ...row, request: JSON.parse(row.request) as StartRequest };
  }

  write({ request, version, createdAt, startAt, due, failures, error }: Scheduled): void {
    this.#tables.ensure("scheduled", SCHEMA);
    this.#tables.sql.exec(
      "INSERT OR REPLACE INTO scheduled VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
      ...[JSON.stringify(request), version, createdAt, startAt, due, failures, error],
    );
  }

  remove(): void {
    this.#tables.sql.exec("DELETE FROM scheduled");
  }
}

/** After the chart has thrown at its beginning: it is tried again, and in the end left for a person. */
export function postponed(scheduled: Scheduled, error: unknown, now: number): Scheduled {
  const failures = scheduled.failures + 1;
  return {
    ...scheduled,
    failures,
    due: failures < MAX_TRIES ? now + backoff(failures) : null,
    error: error instanceof Error ? error.message : String(error),
  };
}
