import type { Tables } from "./tables.ts";

type Row = Record<string, SqlStorageValue>;

/**
 * Work to be done after a commit: an actor to run, a named action, an emitted event on a route, another
 * instance as an actor, a message to an instance, the outcome for the one that started this.
 */
export interface EffectRow {
  key: number;
  kind: "actor" | "instance" | "command" | "emit" | "send" | "outcome";
  name: string;
  /** JSON. */
  payload: string;
  /**
   * `running`: under a lease until `due`. `waiting`: for `due`, and for its turn. `settling`: its result
   * is brought to the chart again at `due`. `away`: the other instance's outcome will come. `parked`:
   * for a person.
   */
  status: "running" | "waiting" | "settling" | "away" | "parked";
  /** Tries begun so far. */
  attempt: number;
  due: number;
  createdAt: number;
  /** The instance's when it was written: with the key it makes the id that repeats are known by. */
  epoch: number;
  /** How many instances the event that led here has passed through. */
  hops: number;
  /** `traceparent` of what led here. */
  trace: string | null;
  error: string | null;
  /** JSON of a settlement that the chart could not take yet. */
  result: string | null;
}

/** Work that was committed and is not done. */
export class EffectTable {
  readonly #tables: Tables;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  all(): EffectRow[] {
    return this.#tables.sql
      .exec<Row & EffectRow>(
        `SELECT key, kind, name, payload, status, attempt, due, created_at AS createdAt, epoch, hops,
           error, result, trace FROM effects ORDER BY key`,
      )
      .toArray();
  }

  insert(row: EffectRow): void {
    this.#tables.sql.exec(
      `INSERT INTO effects
         (key, kind, name, payload, status, attempt, due, created_at, epoch, hops, error, result, trace)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      row.key,
      row.kind,
      row.name,
      row.payload,
      row.status,
      row.attempt,
      row.due,
      row.createdAt,
      row.epoch,
      row.hops,
      row.error,
      row.result,
      row.trace,
    );
  }

  update({ key, status, attempt, due, createdAt, error, result }: EffectRow): void {
    this.#tables.sql.exec(
      `UPDATE effects SET status = ?, attempt = ?, due = ?, created_at = ?, error = ?, result = ?
         WHERE key = ?`,
      status,
      attempt,
      due,
      createdAt,
      error,
      result,
      key,
    );
  }

  delete(key: number): void {
    this.#tables.sql.exec("DELETE FROM effects WHERE key = ?", key);
  }
}
