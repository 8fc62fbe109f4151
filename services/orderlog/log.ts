import type { ReceivedEvent } from "../../src/cloudevents/received.ts";
import type { Realm } from "../../src/contract/realm.ts";
import type { LoggedEntry } from "../contracts/log.ts";

/** What is written down of an event, and whose it is. */
export interface LogEntry extends ReceivedEvent {
  realm: Realm;
  /** ISO 8601, in any zone. */
  time: string;
}

/** What is looked for. */
export interface LogFilter {
  /** `{workflow}/{id}` */
  order?: string | undefined;
  /** An event type, or `order.*` for all that begin so. */
  type?: string | undefined;
  /** ISO 8601 in UTC: from then on, and before then. */
  from?: string | undefined;
  to?: string | undefined;
  after: number;
  limit: number;
}

/** One statement for the whole batch; a list goes as JSON, since D1 binds at most 100 parameters. */
export async function append(
  database: D1Database,
  entries: readonly LogEntry[],
  now: number,
): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map(({ realm, source, id, type, subject = "", time, data = null }) => ({
    ...{ tenant: realm.tenant, jurisdiction: realm.jurisdiction ?? "" },
    ...{ source, id, type, subject, time: inUtc(time, now), data: JSON.stringify(data) },
  }));
  await database
    .prepare(
      `INSERT OR IGNORE INTO log
           (tenant, jurisdiction, source, id, type, subject, time, data, logged_at)
         SELECT value ->> 'tenant', value ->> 'jurisdiction', value ->> 'source', value ->> 'id',
                value ->> 'type', value ->> 'subject', value ->> 'time', value ->> 'data', ?2
           FROM json_each(?1)`,
    )
    .bind(JSON.stringify(rows), now)
    .run();
}

/** A page of a realm's log, oldest first. Only what is asked for stands in the statement, so that its index is used. */
export async function readLog(
  database: D1Database,
  { tenant, jurisdiction }: Realm,
  { order, type, from, to, after, limit }: LogFilter,
): Promise<LoggedEntry[]> {
  const beginning = type?.endsWith("*") ? type.slice(0, -1) : undefined;
  const narrowed: [condition: string, value: string | undefined][] = [
    ["subject = ?", order],
    ["type = ?", beginning === undefined ? type : undefined],
    ["type >= ?", beginning],
    // Types are texts below U+10FFFF.
    ["type < ?", beginning === undefined ? undefined : `${beginning}\u{10FFFF}`],
    ["time >= ?", from],
    ["time < ?", to],
  ];
  const wanted = narrowed.filter(([, value]) => value !== undefined);
  const { results } = await database
    .prepare(
      `SELECT position, source, id, type, subject, time, data FROM log
         WHERE tenant = ? AND jurisdiction = ? AND position > ?
           ${wanted.map(([condition]) => `AND ${condition}`).join(" ")}
         ORDER BY position LIMIT ?`,
    )
    .bind(tenant, jurisdiction ?? "", after, ...wanted.map(([, value]) => value!), limit)
    .all<Omit<LoggedEntry, "data"> & { data: string }>();
  return results.map((row) => ({ ...row, data: JSON.parse(row.data) as unknown }));
}

/** The highest position of a realm's log; 0 where it is empty. */
export async function lastPosition(
  database: D1Database,
  { tenant, jurisdiction }: Realm,
): Promise<number> {
  const row = await database
    .prepare("SELECT max(position) AS last FROM log WHERE tenant = ? AND jurisdiction = ?")
    .bind(tenant, jurisdiction ?? "")
    .first<{ last: number | null }>();
  return row?.last ?? 0;
}

/** Rows that one statement forgets. */
const FORGOTTEN_AT_ONCE = 1_000;
/** Statements of one run: what is left waits for the next. */
const MOST_STATEMENTS = 50;

/** Removes what was written down before then. @returns how many entries */
export async function forget(database: D1Database, before: number): Promise<number> {
  let forgotten = 0;
  for (let run = 0; run < MOST_STATEMENTS; run++) {
    const { meta } = await database
      .prepare(
        `DELETE FROM log WHERE position IN
           (SELECT position FROM log WHERE logged_at < ? ORDER BY logged_at LIMIT ?)`,
      )
      .bind(before, FORGOTTEN_AT_ONCE)
      .run();
    // What an index loses counts as well, so this is at least the rows.
    forgotten += meta.changes;
    if (meta.changes < FORGOTTEN_AT_ONCE) break;
  }
  return forgotten;
}

/** A time that is none is when it was written down. */
function inUtc(time: string, now: number): string {
  const at = Date.parse(time);
  return new Date(Number.isNaN(at) ? now : at).toISOString();
}
