import type { Timer } from "../kernel/timers.ts";
import type { Tables } from "./tables.ts";

const SCHEMA = `CREATE TABLE timers (
    owner INTEGER NOT NULL, id TEXT NOT NULL, key INTEGER NOT NULL, at INTEGER NOT NULL,
    due INTEGER, detached INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (owner, id, key))
    WITHOUT ROWID;
    CREATE INDEX timers_due ON timers (due, key) WHERE due IS NOT NULL`;

/** Timers beyond those that stand in the state's row. */
export class TimerTable {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** How many timers have a row. */
  count(): number {
    if (!this.#tables.has("timers")) return 0;
    return this.#tables.sql.exec<{ count: number }>("SELECT count(*) AS count FROM timers").one()
      .count;
  }

  /** The timers with a row that are due first. */
  next(limit: number): Timer[] {
    return this.#read("due IS NOT NULL ORDER BY due, key LIMIT ?", limit);
  }

  /** Timers with a row that wait for a person. */
  blocked(limit: number): Timer[] {
    return this.#read("due IS NULL ORDER BY key LIMIT ?", limit);
  }

  #read(where: string, limit: number): Timer[] {
    return this.#tables.sql
      .exec<{ body: string; detached: number }>(
        `SELECT body, detached FROM timers WHERE ${where}`,
        limit,
      )
      .toArray()
      .map(({ body, detached }) => {
        const timer = JSON.parse(body) as Timer;
        return detached === 1 ? { ...timer, detached: true } : timer;
      });
  }

  /** @param due when to look at it next; null for never by itself */
  write(timer: Timer, due: number | null): void {
    this.#tables.ensure("timers", SCHEMA);
    const { owner, id, key, at, detached = false } = timer;
    this.#tables.sql.exec(
      "INSERT OR REPLACE INTO timers VALUES (?, ?, ?, ?, ?, ?, ?)",
      owner,
      id,
      key,
      at,
      due,
      detached ? 1 : 0,
      JSON.stringify(timer),
    );
  }

  delete({ owner, id, key }: Timer): void {
    this.#tables.sql.exec(
      "DELETE FROM timers WHERE owner = ? AND id = ? AND key = ?",
      owner,
      id,
      key,
    );
  }

  /** @returns the keys of those that were not */
  detach({ owner, id }: { owner: number; id: string }): number[] {
    const detached = this.#tables.sql.exec<{ key: number }>(
      "UPDATE timers SET detached = 1 WHERE owner = ? AND id = ? AND detached = 0 RETURNING key",
      owner,
      id,
    );
    return detached.toArray().map(({ key }) => key);
  }

  /** @returns the keys of those that were there */
  cancel({ owner, id }: { owner: number; id?: string }): number[] {
    const cancelled =
      id === undefined
        ? this.#tables.sql.exec<{ key: number }>(
            "DELETE FROM timers WHERE owner = ? AND detached = 0 RETURNING key",
            owner,
          )
        : this.#tables.sql.exec<{ key: number }>(
            "DELETE FROM timers WHERE owner = ? AND id = ? AND detached = 0 RETURNING key",
            owner,
            id,
          );
    return cancelled.toArray().map(({ key }) => key);
  }

  /** All timers with a row. */
  all(): Timer[] {
    return this.#tables.has("timers") ? this.#read("TRUE ORDER BY key LIMIT ?", -1) : [];
  }

  deleteAll(): void {
    if (this.#tables.has("timers")) this.#tables.sql.exec("DELETE FROM timers");
  }
}
