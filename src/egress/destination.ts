import { DurableObject } from "cloudflare:workers";
import type { Gate, LeaveRequest } from "./leave.ts";

/** How long a caller is kept waiting for a place before it is told to ask again, in milliseconds. */
const PATIENCE = 5_000;

/** When it is full for longer, callers ask again after so long, in milliseconds. */
const ASK_AGAIN = 1_000;

/** Every place is taken. */
const FULL = Infinity;

const MINUTE = 60_000;

/**
 * The gate before one destination: so many at once, so many a minute, whichever instances call. Places
 * and what is left of the minute are on disk, so that a restart lets nobody in who should wait.
 */
export class Destination extends DurableObject implements Gate {
  readonly #sql: SqlStorage;
  /** Those who wait for a place, in the order in which they came. */
  readonly #waiting: (() => void)[] = [];

  constructor(context: DurableObjectState, env: unknown) {
    super(context, env as never);
    this.#sql = context.storage.sql;
    this.#sql.exec(
      `CREATE TABLE IF NOT EXISTS places (holder TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
       CREATE TABLE IF NOT EXISTS bucket (one INTEGER PRIMARY KEY, tokens REAL NOT NULL, at INTEGER NOT NULL)`,
    );
  }

  async enter(request: LeaveRequest): Promise<number | null> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
      const now = Date.now();
      const wait = this.#enterNow(request, now);
      if (wait === null) return null;
      const left = deadline - now;
      // Where it is full nobody knows how long: a place may be free at any moment.
      const isWorthWaiting = wait === FULL ? left > 0 : wait <= left;
      if (!isWorthWaiting) return wait === FULL ? ASK_AGAIN : wait;
      await this.#change(Math.min(left, wait));
    }
  }

  leave(holder: string): Promise<void> {
    this.#sql.exec("DELETE FROM places WHERE holder = ?", holder);
    // Some may lack something else than a place: each looks for itself, in the order in which they came.
    for (const wake of this.#waiting.splice(0)) wake();
    return Promise.resolve();
  }

  #enterNow(
    { holder, holdFor, atOnce = Infinity, perMinute = Infinity }: LeaveRequest,
    now: number,
  ): number | null {
    this.#sql.exec("DELETE FROM places WHERE until <= ?", now);
    const places = this.#sql.exec<{ holder: string }>("SELECT holder FROM places").toArray();
    if (places.some((place) => place.holder === holder)) {
      // A run whose process died left its place; who takes it over has it.
      this.#sql.exec("UPDATE places SET until = ? WHERE holder = ?", now + holdFor, holder);
      return null;
    }
    if (places.length >= atOnce) return FULL;
    if (perMinute !== Infinity) {
      const wait = this.#takeToken(perMinute, now);
      if (wait > 0) return wait;
    }
    this.#sql.exec("INSERT INTO places VALUES (?, ?)", holder, now + holdFor);
    return null;
  }

  /** @returns milliseconds until there is one; 0 where one was taken */
  #takeToken(perMinute: number, now: number): number {
    const [bucket] = this.#sql
      .exec<{ tokens: number; at: number }>("SELECT tokens, at FROM bucket")
      .toArray();
    // Never more than a second's worth, or one, in hand: a burst is what the limit is against.
    const most = Math.max(1, perMinute / 60);
    const gained = bucket === undefined ? most : ((now - bucket.at) * perMinute) / MINUTE;
    const tokens = Math.min(most, (bucket?.tokens ?? 0) + gained);
    if (tokens < 1) return Math.ceil(((1 - tokens) * MINUTE) / perMinute);
    this.#sql.exec("INSERT OR REPLACE INTO bucket VALUES (1, ?, ?)", tokens - 1, now);
    return 0;
  }

  /** Until somebody leaves, or `milliseconds` have passed. */
  #change(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const place = this.#waiting.indexOf(wake);
        if (place !== -1) this.#waiting.splice(place, 1);
        resolve();
      }, milliseconds);
      const wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.push(wake);
    });
  }
}
