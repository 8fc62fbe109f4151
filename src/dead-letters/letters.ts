import type { Problem } from "../contract/problem.ts";

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
  tenant: string;
  /** What its newest death is known by at its origin. */
  message: string;
  body: unknown;
  /** What has happened to it, oldest first. */
  history: { at: string; what: string; by?: string; reason?: unknown }[];
}

interface Row {
  id: string;
  tenant: string;
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
  database: D1Database,
  wanted: {
    tenant: string;
    status: LetterStatus;
    origin?: string | undefined;
    after?: LetterPosition | undefined;
    limit: number;
    now: number;
  },
): Promise<{ letters: ListedLetter[]; next: LetterPosition | null }> {
  const { tenant, status, origin = null, after, limit, now } = wanted;
  const { results } = await database
    .prepare(
      // Two of them, each by the index.
      `SELECT * FROM (${pageOf("status = ?2")})
       UNION ALL
       SELECT * FROM (${pageOf("?2 = 'dead' AND status = 'sending' AND changed_at < ?7")})
         ORDER BY filed_at DESC, id DESC LIMIT ?6`,
    )
    .bind(
      ...[tenant, status, origin, after?.filedAt ?? null, after?.id ?? "", limit + 1, now - CLAIM],
    )
    .all<Row>();
  const rows = results.slice(0, limit);
  const last = rows.at(-1);
  const hasMore = results.length > limit && last !== undefined;
  return {
    letters: rows.map(listed),
    next: hasMore ? { filedAt: last.filed_at, id: last.id } : null,
  };
}

function pageOf(which: string): string {
  return `SELECT id, origin, status, subject, type, reason, attempts, filed_at FROM dead_letters
    WHERE tenant = ?1 AND ${which} AND (?3 IS NULL OR origin = ?3)
      AND (?4 IS NULL OR (filed_at, id) < (?4, ?5))
    ORDER BY filed_at DESC, id DESC LIMIT ?6`;
}

export async function readLetter(
  database: D1Database,
  tenant: string,
  id: string,
): Promise<Letter | null> {
  const row = await database
    .prepare("SELECT * FROM dead_letters WHERE tenant = ? AND id = ?")
    .bind(tenant, id)
    .first<Row>();
  return row === null ? null : whole(row);
}

/**
 * Takes a letter to send it again, where nobody has: of any number who ask, one gets it.
 *
 * @returns null where it is not dead, or somebody is at it
 */
export async function claimLetter(
  database: D1Database,
  { tenant, id, now }: { tenant: string; id: string; now: number },
): Promise<Letter | null> {
  const row = await database
    .prepare(
      `UPDATE dead_letters SET status = 'sending', changed_at = ?3
         WHERE tenant = ?1 AND id = ?2
           AND (status = 'dead' OR (status = 'sending' AND changed_at < ?4))
         RETURNING *`,
    )
    .bind(tenant, id, now, now - CLAIM)
    .first<Row>();
  return row === null ? null : whole(row);
}

/** What has become of a letter that was taken or is thrown away. @returns whether it was so */
export async function settleLetter(
  database: D1Database,
  change: {
    tenant: string;
    id: string;
    from: LetterStatus;
    to: LetterStatus;
    what: string;
    by: string;
    reason?: string;
    now: number;
  },
): Promise<boolean> {
  const { tenant, id, from, to, now, ...entry } = change;
  const happened = JSON.stringify({ at: new Date(now).toISOString(), ...entry });
  const { meta } = await database
    .prepare(
      `UPDATE dead_letters SET status = ?4, changed_at = ?5,
           history = json_insert(history, '$[#]', json(?6))
         WHERE tenant = ?1 AND id = ?2 AND status = ?3`,
    )
    .bind(tenant, id, from, to, now, happened)
    .run();
  return meta.changes > 0;
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
    tenant: row.tenant,
    message: row.message,
    body: JSON.parse(row.body) as unknown,
    history: JSON.parse(row.history) as Letter["history"],
  };
}
