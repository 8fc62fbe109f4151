/** How far the list knows an instance: what was last sent, and when. */
export interface ListingCursor {
  epoch: number;
  seq: number;
  /** How many incidents there were; -1 for an instance in quarantine. */
  incidents: number;
  revision: number;
  /** Milliseconds since the epoch. */
  sentAt: number;
}

const TABLE = `CREATE TABLE listed (
  one INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, incidents INTEGER NOT NULL,
  revision INTEGER NOT NULL, sent_at INTEGER NOT NULL)`;

/** The cursor's row. Its table is made when it is first written. */
export class ListingCursorStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Undefined where the list was told nothing yet. */
  read(): ListingCursor | undefined {
    if (!this.#exists()) return undefined;
    const rows = this.#sql
      .exec<Record<string, SqlStorageValue> & ListingCursor>(
        "SELECT epoch, seq, incidents, revision, sent_at AS sentAt FROM listed",
      )
      .toArray();
    return rows[0];
  }

  write({ epoch, seq, incidents, revision, sentAt }: ListingCursor): void {
    if (!this.#exists()) this.#sql.exec(TABLE);
    this.#sql.exec(
      "INSERT OR REPLACE INTO listed VALUES (1, ?, ?, ?, ?, ?)",
      epoch,
      seq,
      incidents,
      revision,
      sentAt,
    );
  }

  #exists(): boolean {
    const found = this.#sql.exec("SELECT 1 FROM sqlite_master WHERE name = ?", "listed").toArray();
    return found.length > 0;
  }
}
