import { log } from "../../src/contract/log.ts";
import { RESERVED_FOR, type Shortage, type Stock } from "../contracts/catalog.ts";

/** What an order wants of one product: a piece a line. */
export interface ShelfClaim {
  /** `{workflow}/{id}` */
  order: string;
  round: number;
  lines: readonly string[];
}

/**
 * How it stands with a line in a round. `refused` and `over` stay so for that round, whoever asks again;
 * `undecided` is a line that would have fitted, beside one that didn't.
 */
export type LineAnswer =
  | { line: string; answer: "reserved" | "over" | "undecided" }
  | { line: string; answer: "refused"; why: Shortage["why"] };

type State = "held" | "kept" | "sold" | "released" | "refused" | "expired";

interface Row extends Record<string, SqlStorageValue> {
  round: number;
  state: State;
  why: Shortage["why"] | null;
}

/** Milliseconds that what has ended is remembered, so that what comes late or twice is known. */
export const REMEMBERED = 60 * 86_400_000;

/** Rows that one transaction forgets. */
const FORGOTTEN_AT_ONCE = 100;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS shelf (id INTEGER PRIMARY KEY CHECK (id = 1), on_hand INTEGER NOT NULL);
  INSERT OR IGNORE INTO shelf VALUES (1, 0);
  CREATE TABLE IF NOT EXISTS reservations (
    "order" TEXT NOT NULL, line TEXT NOT NULL, round INTEGER NOT NULL, state TEXT NOT NULL, why TEXT,
    due INTEGER, PRIMARY KEY ("order", line)) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS reservations_active ON reservations (state)
    WHERE state IN ('held', 'kept');
  CREATE INDEX IF NOT EXISTS reservations_due ON reservations (due) WHERE due IS NOT NULL;
`;

const isActive = (row: Row | undefined): boolean => row?.state === "held" || row?.state === "kept";

/**
 * One product's stock, and who has a part in it: a row an order's line, which knows the latest round that it
 * was part of. Everything here runs within a transaction of the shelf's. `due` is when a hold expires, and
 * of what has ended when it is forgotten.
 */
export class Reservations {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(SCHEMA);
  }

  stock(): Stock {
    const { onHand, reserved } = this.#sql
      .exec<{ onHand: number; reserved: number }>(
        `SELECT on_hand AS onHand,
                (SELECT count(*) FROM reservations WHERE state IN ('held', 'kept')) AS reserved
           FROM shelf`,
      )
      .one();
    return { onHand, reserved, available: Math.max(0, onHand - reserved) };
  }

  /** @returns whether it could be: never below what is reserved */
  setOnHand(onHand: number): boolean {
    if (onHand < this.stock().reserved) return false;
    this.#sql.exec("UPDATE shelf SET on_hand = ?", onHand);
    return true;
  }

  /**
   * All of the lines, or none.
   *
   * @param refuse why none is to be had in this round, where that was found elsewhere; a line that is
   *   reserved already stays so
   */
  reserve(
    { order, round, lines }: ShelfClaim,
    refuse: Shortage["why"] | null,
    now: number,
  ): LineAnswer[] {
    const found = lines.map((line) => ({ line, row: this.#find(order, line) }));
    const answers = found.map(({ line, row }) => answerTo(line, row, round));
    if (answers.some(({ answer }) => answer === "refused" || answer === "over")) return answers;
    const open = found.filter((_, index) => answers[index]!.answer === "undecided");
    const fresh = open.filter(({ row }) => !isActive(row));
    const short =
      refuse === null ? fresh.slice(Math.min(this.stock().available, fresh.length)) : open;
    if (short.length === 0) {
      for (const { line } of open) {
        this.#write(order, line, round, "held", now + RESERVED_FOR);
      }
      return lines.map((line) => ({ line, answer: "reserved" }));
    }
    const why = refuse ?? "sold-out";
    const refused = new Set(short.map(({ line }) => line));
    for (const line of refused) this.#write(order, line, round, "refused", now + REMEMBERED, why);
    return answers.map((answer) =>
      refused.has(answer.line) ? { line: answer.line, answer: "refused", why } : answer,
    );
  }

  /** @returns whether all of the lines are kept now */
  keep({ order, round, lines }: ShelfClaim): boolean {
    let isKept = true;
    for (const line of lines) {
      const row = this.#find(order, line);
      if (row?.round === round && (row.state === "kept" || row.state === "sold")) continue;
      const isOver =
        row !== undefined &&
        (row.round > round ||
          (row.round === round && (row.state === "released" || row.state === "refused")));
      if (isOver || (!isActive(row) && this.stock().available === 0)) {
        isKept = false;
        continue;
      }
      this.#write(order, line, round, "kept", null);
    }
    return isKept;
  }

  release({ order, round, lines }: ShelfClaim, now: number): void {
    for (const line of lines) {
      const row = this.#find(order, line);
      if (row !== undefined && row.round > round) continue;
      // What has ended in this round has nothing to give back, and is asked about again.
      const ended: readonly State[] = ["sold", "released", "refused"];
      if (row?.round === round && ended.includes(row.state)) continue;
      this.#write(order, line, round, "released", now + REMEMBERED);
    }
  }

  /** @param shelf how the log calls it */
  confirm({ order, round, lines }: ShelfClaim, now: number, shelf: string): void {
    for (const line of lines) {
      const row = this.#find(order, line);
      if (row !== undefined && row.round > round) continue;
      if (row?.round === round && row.state === "sold") continue;
      const { onHand, available } = this.stock();
      if (onHand === 0 || (!isActive(row) && available === 0)) {
        // It was used all the same: what was counted, or what others have reserved, is wrong now.
        log.error("More of a product was used than was free", { shelf, order, line, onHand });
      }
      this.#sql.exec("UPDATE shelf SET on_hand = max(on_hand - 1, 0)");
      this.#write(order, line, round, "sold", now + REMEMBERED);
    }
  }

  /** Returns to the shelf what nobody kept. */
  expire(now: number): void {
    this.#sql.exec(
      "UPDATE reservations SET state = 'expired', due = ? WHERE state = 'held' AND due <= ?",
      ...[now + REMEMBERED, now],
    );
  }

  /** Some of what was long enough remembered. */
  forget(now: number): void {
    this.#sql.exec(
      `DELETE FROM reservations WHERE ("order", line) IN (
         SELECT "order", line FROM reservations WHERE due <= ? AND state <> 'held'
          ORDER BY due LIMIT ?)`,
      ...[now, FORGOTTEN_AT_ONCE],
    );
  }

  /** When there is something to expire or to forget; Infinity for never. */
  nextDue(): number {
    const { due } = this.#sql
      .exec<{ due: number | null }>(
        "SELECT min(due) AS due FROM reservations WHERE due IS NOT NULL",
      )
      .one();
    return due ?? Infinity;
  }

  #find(order: string, line: string): Row | undefined {
    return this.#sql
      .exec<Row>(
        `SELECT round, state, why FROM reservations WHERE "order" = ? AND line = ?`,
        ...[order, line],
      )
      .toArray()[0];
  }

  #write(
    order: string,
    line: string,
    round: number,
    state: State,
    due: number | null,
    why: Shortage["why"] | null = null,
  ): void {
    this.#sql.exec(
      `INSERT OR REPLACE INTO reservations ("order", line, round, state, why, due)
         VALUES (?, ?, ?, ?, ?, ?)`,
      ...[order, line, round, state, why, due],
    );
  }
}

/** What was decided of a line in a round; undecided where its own hold has expired. */
function answerTo(line: string, row: Row | undefined, round: number): LineAnswer {
  if (row === undefined || row.round < round) return { line, answer: "undecided" };
  if (row.round > round || row.state === "released") return { line, answer: "over" };
  if (row.state === "refused") return { line, answer: "refused", why: row.why ?? "sold-out" };
  return { line, answer: row.state === "expired" ? "undecided" : "reserved" };
}
