import { DatabaseSync, type SQLInputValue } from "node:sqlite";

/** An object's database of the local runtime, to be read while nobody may write to it. */
export class ReadOnlySql {
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { readOnly: true });
    // What is read is of one moment, though the runtime may be at work.
    this.#database.exec("BEGIN");
  }

  exec(query: string, ...values: SQLInputValue[]) {
    const rows = this.#database.prepare(query).all(...values);
    return {
      toArray: () => rows.map((row) => ({ ...row })),
      one: () => {
        if (rows.length !== 1) throw new Error(`Expected one row, there are ${rows.length}`);
        return { ...rows[0] };
      },
    };
  }

  close(): void {
    this.#database.close();
  }
}
