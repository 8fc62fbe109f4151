import type { Problem } from "../contract/problem.ts";
import { mine, type RealmRows } from "../contract/realm-rows.ts";
import type { Whose } from "../contract/realm.ts";

/** How long who sends a letter again may take; after that somebody else may, in milliseconds. */
const CLAIM = 60_000;

export type LetterStatus = "dead" | "sending" | "sent" | "discarded";

/** A dead letter as the list shows it. Times are ISO 8601, in UTC. */
export interface ListedLetter {
  id: string;
  /** `queue:…`, `rabbitmq:…`, `webhook:…`, or `instance:{workflow}/{id}` for what an instance keeps parked. */
  origin: string;
  status: LetterStatus;
  subject: string | null;
  type: string | null;
  reason: Pick<Problem, "detail"> & Partial<Problem>;
  attempts: number | null;
  filedAt: string;
}

export interface Letter extends ListedLetter {
  whose: Whose;
  /** What its newest death is known by at its origin. */
  message: string;
  body: unknown;
  /** What has happened to it, oldest first. */
  history: { at: string; what: string; by?: string; reason?: unknown }[];
}

interface Row {
  id: string;
  tenant: string;
  jurisdiction: DurableObjectJurisdiction | null;
  origin: string;
  message: string;
  status: LetterStatus;
  subject: string | null;
  type: string | null;
  reason: string;
  attempts: number;
  body: string;
  history: string;
  filed_at: number;
}

/** Where a page ends: letters never change their place. */
export interface LetterPosition {
  filedAt: number;
  id: string;
}

/** Newest first. With the dead are those whom who was sending them has left: nobody else would see them. */
export async function listLetters(
  rows: RealmRows,
  wanted: {
    status: LetterStatus;
    origin?: string | undefined;
    after?: LetterPosition | undefined;
    limit: number;
    now: number;
  },
): Promise<{ letters: ListedLetter[]; next: LetterPosition | null }> {
  const { status, origin = null, after, limit, now } = wanted;
  const results = await rows.all<Row>(
    // Two of them, each by the index.
    `SELECT * FROM (${pageOf("status = ?3")})
     UNION ALL
     SELECT * FROM (${pageOf("?3 = 'dead' AND status = 'sending' AND changed_at < ?8")})
       ORDER BY filed_at DESC, id DESC LIMIT ?7`,
    ...[status, origin, after?.filedAt ?? null, after?.id ?? "", limit + 1, now - CLAIM],
  );
  const page = results.slice(0, limit);
  const last = page.at(-1);
  const hasMore = results.length > limit && last !== undefined;
  return {
    letters: page.map(listed),
    next: hasMore ? { filedAt: last.filed_at, id: last.id } : null,
  };
}

function pageOf(which: string): string {
  return `SELECT id, origin, status, subject, type, reason, attempts, filed_at FROM dead_letters
    WHERE ${mine("dead_letters")} AND ${which} AND (?4 IS NULL OR origin = ?4)
      AND (?5 IS NULL OR (filed_at, id) < (?5, ?6))
    ORDER BY filed_at DESC, id DESC LIMIT ?7`;
}

export async function readLetter(rows: RealmRows, id: string): Promise<Letter | null> {
  const row = await rows.first<Row>(
    `SELECT * FROM dead_letters WHERE ${mine("dead_letters")} AND id = ?3`,
    id,
  );
  return row === null ? null : whole(row);
}

/**
 * Takes a letter to send it again, where nobody has: of any number who ask, one gets it.
 *
 * @returns null where it is not dead, or somebody is at it
 */
export async function claimLetter(
  rows: RealmRows,
  { id, now }: { id: string; now: number },
): Promise<Letter | null> {
  const row = await rows.first<Row>(
    `UPDATE dead_letters SET status = 'sending', changed_at = ?4
       WHERE ${mine("dead_letters")} AND id = ?3
         AND (status = 'dead' OR (status = 'sending' AND changed_at < ?5))
       RETURNING *`,
    ...[id, now, now - CLAIM],
  );
  return row === null ? null : whole(row);
}

/** What has become of a letter that was taken or is thrown away. @returns whether it was so */
export async function settleLetter(
  rows: RealmRows,
  change: {
    id: string;
    from: LetterStatus;
    to: LetterStatus;
    what: string;
    by: string;
    reason?: string;
    now: number;
  },
): Promise<boolean> {
  const { id, from, to, now, ...entry } = change;
  const happened = JSON.stringify({ at: new Date(now).toISOString(), ...entry });
  const changed = await rows.change(
    `UPDATE dead_letters SET status = ?5, changed_at = ?6,
         history = json_insert(history, '$[#]', json(?7))
       WHERE ${mine("dead_letters")} AND id = ?3 AND status = ?4`,
    ...[id, from, to, now, happened],
  );
  return changed > 0;
}

function listed({ id, origin, status, subject, type, reason, attempts, filed_at }: Row) {
  return {
    ...{ id, origin, status, subject, type, attempts },
    reason: JSON.parse(reason) as Problem,
    filedAt: new Date(filed_at).toISOString(),
  };
}

function whole(row: Row): Letter {
  return {
    ...listed(row),
    whose: { tenant: row.tenant, jurisdiction: row.jurisdiction },
    message: row.message,
    body: JSON.parse(row.body) as unknown,
    history: JSON.parse(row.history) as Letter["history"],
  };
}
