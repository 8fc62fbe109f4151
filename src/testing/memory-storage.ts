import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";

/** Thrown where the process was to die; nothing is written after it. */
export class ProcessDied extends Error {
  override name = "ProcessDied";
}

/** What a storage holds, as JSON. */
export interface StorageDump {
  schema: string[];
  rows: Record<string, Record<string, string | number | null>[]>;
  alarm: number | null;
}

/**
 * A Durable Object's storage in plain Node: the same SQL, the same transactions, the same alarm, in a
 * database in memory. It can be told to die before or after a commit, as a process would.
 */
export class MemoryStorage {
  readonly #database = new DatabaseSync(":memory:");
  readonly #statements = new Map<string, StatementSync>();
  #alarm: number | null = null;
  #isDead = false;
  #isDeleting = false;
  #depth = 0;
  /** Called when a transaction is about to commit, and when it has; what it throws is a crash. */
  onCommit: ((point: "before" | "after") => void) | undefined;
  /** Transactions committed so far. */
  commits = 0;

  readonly sql = {
    exec: (query: string, ...bindings: unknown[]) => this.#exec(query, bindings),
    databaseSize: 0,
  };

  /** Everything that is stored, as SQL that makes it again, and the alarm. */
  dump(): StorageDump {
    const schema = this.#database
      .prepare("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid")
      .all() as { type: string; name: string; sql: string }[];
    const tables = schema.filter(({ type }) => type === "table");
    const rows = tables.map(({ name }) => [
      name,
      this.#database.prepare(`SELECT * FROM ${name}`).all() as StorageDump["rows"][string],
    ]);
    return {
      schema: schema.map(({ sql }) => sql),
      rows: Object.fromEntries(rows) as StorageDump["rows"],
      alarm: this.#alarm,
    };
  }

  /** Puts what was dumped into an empty storage. */
  load({ schema, rows, alarm }: StorageDump): void {
    const [tables, others] = [
      schema.filter((sql) => /^CREATE TABLE/i.test(sql)),
      schema.filter((sql) => !/^CREATE TABLE/i.test(sql)),
    ];
    for (const sql of tables) this.#database.exec(sql);
    for (const [name, list] of Object.entries(rows)) {
      for (const row of list) {
        const columns = Object.keys(row);
        const marks = columns.map(() => "?").join(", ");
        this.#database
          .prepare(`INSERT INTO ${name} (${columns.join(", ")}) VALUES (${marks})`)
          .run(...Object.values(row));
      }
    }
    for (const sql of others) this.#database.exec(sql);
    this.#alarm = alarm;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** Another process takes over: what was committed is there. */
  revive(): void {
    this.#isDead = false;
  }

  transactionSync<Result>(act: () => Result): Result {
    this.#checkAlive();
    const level = `level${this.#depth}`;
    const isOutermost = this.#depth === 0;
    const alarmBefore = this.#alarm;
    this.#database.exec(`SAVEPOINT ${level}`);
    this.#depth += 1;
    let result: Result;
    try {
      result = act();
      if (isOutermost) this.#reach("before");
    } catch (error) {
      this.#database.exec(`ROLLBACK TO ${level}; RELEASE ${level}`);
      if (this.#isDead) this.#endDeleting("ROLLBACK TO deleting; RELEASE deleting");
      this.#alarm = alarmBefore;
      throw error;
    } finally {
      this.#depth -= 1;
    }
    this.#database.exec(`RELEASE ${level}`);
    if (isOutermost) {
      this.#endDeleting("RELEASE deleting");
      this.commits += 1;
      this.#reach("after");
    }
    return result;
  }

  getAlarm(): Promise<number | null> {
    return Promise.resolve(this.#alarm);
  }

  /** When the alarm rings; null for never. */
  get alarm(): number | null {
    return this.#alarm;
  }

  setAlarm(at: number | Date): Promise<void> {
    if (!this.#isDead) this.#alarm = Number(at);
    return Promise.resolve();
  }

  deleteAlarm(): Promise<void> {
    if (!this.#isDead) this.#alarm = null;
    return Promise.resolve();
  }

  /** As on the platform, one write with what is written before the next `await`. */
  async deleteAll(): Promise<void> {
    this.#checkAlive();
    const found = this.#database
      .prepare("SELECT name, type FROM sqlite_master WHERE type IN ('table', 'view')")
      .all() as { name: string; type: string }[];
    this.#statements.clear();
    this.#database.exec("SAVEPOINT deleting");
    this.#isDeleting = true;
    for (const { name, type } of found) this.#database.exec(`DROP ${type} ${name}`);
    this.#alarm = null;
    await Promise.resolve();
    this.#endDeleting("RELEASE deleting");
  }

  #endDeleting(how: string): void {
    if (!this.#isDeleting) return;
    this.#isDeleting = false;
    this.#database.exec(how);
  }

  sync(): Promise<void> {
    return this.#isDead ? Promise.reject(new ProcessDied()) : Promise.resolve();
  }

  #reach(point: "before" | "after"): void {
    try {
      this.onCommit?.(point);
    } catch (error) {
      this.#isDead = true;
      throw error;
    }
  }

  #checkAlive(): void {
    if (this.#isDead) throw new ProcessDied("This process is dead");
  }

  #exec(query: string, bindings: unknown[]) {
    this.#checkAlive();
    if (bindings.length === 0 && !/^\s*SELECT/i.test(query)) {
      this.#database.exec(query);
      return cursor([]);
    }
    let statement = this.#statements.get(query);
    if (statement === undefined) {
      statement = this.#database.prepare(query);
      this.#statements.set(query, statement);
    }
    return cursor(statement.all(...(bindings as SQLInputValue[])));
  }
}

function cursor(rows: object[]) {
  return {
    toArray: () => rows.map((row) => ({ ...row })),
    one: () => {
      if (rows.length !== 1) throw new Error(`Expected one row, there are ${rows.length}`);
      return { ...rows[0] };
    },
  };
}
