import type { Tables } from "./tables.ts";

const SCHEMA = "CREATE TABLE actors (key INTEGER PRIMARY KEY, body TEXT NOT NULL)";

/** Child machines and transition logics; the instance's own machine stands in the state's row. */
export class ActorTable {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** The JSON of every actor that has a row, in the order in which they were made. */
  all(): string[] {
    if (!this.#tables.has("actors")) return [];
    return this.#tables.sql
      .exec<{ body: string }>("SELECT body FROM actors ORDER BY key")
      .toArray()
      .map(({ body }) => body);
  }

  /** @param body null to forget it */
  write(key: number, body: string | null): void {
    this.#tables.ensure("actors", SCHEMA);
    if (body === null) this.#tables.sql.exec("DELETE FROM actors WHERE key = ?", key);
    else this.#tables.sql.exec("INSERT OR REPLACE INTO actors VALUES (?, ?)", key, body);
  }

  deleteAll(): void {
    if (this.#tables.has("actors")) this.#tables.sql.exec("DELETE FROM actors");
  }
}
