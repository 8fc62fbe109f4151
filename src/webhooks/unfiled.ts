import type { DeadLetter } from "../contract/dead-letter.ts";
import { problem } from "../contract/problem.ts";
import { realmOfOwn } from "../contract/realm.ts";
import type { WebhookScope } from "../contract/webhooks.ts";
import { backoff, LEASE } from "../egress/timing.ts";
import type { Delivery } from "./deliveries.ts";

/** Dead letters that are filed in one go: a delivery may have 128 KB. */
const AT_ONCE = 20;

/** How long filing may take before it counts as failed, in milliseconds: it must end before its lease does. */
const PATIENCE = 20_000;

export const UNFILED_SCHEMA = `
  CREATE TABLE IF NOT EXISTS unfiled (
    position INTEGER PRIMARY KEY, due INTEGER NOT NULL, tries INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS unfiled_due ON unfiled (due);
`;

/** Letters that are being filed, and the mark by which their rows are known. */
export interface FilingBegun {
  deliveries: Delivery[];
  positions: readonly number[];
  leaseUntil: number;
  tries: number;
}

type Row = Delivery & { unfiled: number; tries: number } & Record<string, SqlStorageValue>;

/**
 * Parked deliveries that the dead letters don't have yet, by their positions: a delivery that is sent
 * again gets another one, so it is another death that it may then die. All within the caller's transaction.
 */
export class UnfiledTable {
  readonly #sql: SqlStorage;
  /** Whether letters are under way: one batch at a time. */
  isBusy = false;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** To be filed at once. A position may be used again, once its delivery is gone. */
  add(position: number, now: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO unfiled VALUES (?, ?, 0)", position, now);
  }

  /** When letters are next to be filed; Infinity for never. */
  nextDue(now: number): number {
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(due) AS at FROM unfiled")
      .one();
    if (at === null) return Infinity;
    // The end of what is under way begins the next; this is for if that dies.
    return this.isBusy ? Math.max(at, now + LEASE) : at;
  }

  /** Takes the next ones under a lease; what was sent again, discarded or erased meanwhile is left out. */
  begin(now: number): FilingBegun | null {
    if (this.isBusy) return null;
    const rows = this.#sql
      .exec<Row>(
        `SELECT unfiled.position AS unfiled, unfiled.tries, deliveries.*,
             deliveries.created_at AS createdAt
           FROM unfiled LEFT JOIN deliveries
             ON deliveries.position = unfiled.position AND deliveries.state = 'parked'
           WHERE unfiled.due <= ? ORDER BY unfiled.position LIMIT ?`,
        ...[now, AT_ONCE],
      )
      .toArray();
    const leaseUntil = now + LEASE;
    for (const { id, unfiled } of rows) {
      if ((id as string | null) === null) {
        this.#sql.exec("DELETE FROM unfiled WHERE position = ?", unfiled);
      } else {
        this.#sql.exec(
          "UPDATE unfiled SET due = ?, tries = tries + 1 WHERE position = ?",
          ...[leaseUntil, unfiled],
        );
      }
    }
    const deliveries = rows.filter(({ id }) => (id as string | null) !== null);
    if (deliveries.length === 0) return null;
    return {
      deliveries,
      positions: deliveries.map(({ position }) => position),
      leaseUntil,
      tries: 1 + Math.max(...deliveries.map(({ tries }) => tries)),
    };
  }

  end({ positions, leaseUntil }: FilingBegun): void {
    for (const position of positions) {
      this.#sql.exec("DELETE FROM unfiled WHERE position = ? AND due = ?", position, leaseUntil);
    }
  }

  putOff({ positions, leaseUntil, tries }: FilingBegun, now: number): void {
    const due = now + backoff(tries);
    for (const position of positions) {
      this.#sql.exec(
        "UPDATE unfiled SET due = ? WHERE position = ? AND due = ?",
        ...[due, position, leaseUntil],
      );
    }
  }
}

/** @throws Error where filing takes too long */
export async function inTime(filing: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`The dead letters gave no answer within ${PATIENCE / 1_000} s`);
    timer = setTimeout(() => reject(error), PATIENCE);
  });
  try {
    await Promise.race([filing, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A parked delivery as it is filed. Its body is an envelope, since the way back asks whose it is. */
export function letterOf(
  scope: WebhookScope,
  { id, endpoint, position, attempts, error, body }: Delivery,
  at: number,
): DeadLetter {
  const whose = realmOfOwn(scope);
  return {
    whose,
    origin: `webhook:${endpoint}`,
    // The position tells this death from those after a person has sent it again.
    message: `${id} ${position} ${attempts}`,
    reason: problem("exhausted", error ?? "It could not be delivered."),
    attempts,
    body: { ...whose, event: JSON.parse(body) as unknown },
    at,
  };
}
