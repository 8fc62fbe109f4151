/** Which tables there are. Those that many instances never need are made when they are first written to. */
export class Tables {
  readonly sql: SqlStorage;
  /** Read when first asked for, and again after a rollback. */
  #names: Set<string> | undefined;

  constructor(sql: SqlStorage) {
    this.sql = sql;
  }

  has(table: string): boolean {
    this.#names ??= new Set(
      this.sql
        .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
        .toArray()
        .map(({ name }) => name),
    );
    return this.#names.has(table);
  }

  /** @param schema the table's, and its indexes' */
  ensure(table: string, schema: string): void {
    if (this.has(table)) return;
    this.sql.exec(schema);
    this.#names!.add(table);
  }

  /** After a rollback: a table made in the transaction is gone again. */
  forget(): void {
    this.#names = undefined;
  }
}
