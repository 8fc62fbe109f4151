import type { ReceivedEvent } from "../../src/cloudevents/received.ts";

export interface LogEntry extends ReceivedEvent {
  tenant: string;
  time: string;
}

export interface Letter {
  /** The message's id in its queue: what a repeat is known by. */
  message: string;
  /** Null where the letter is too broken to tell. */
  tenant: string | null;
  queue: string;
  reason: string;
  body: string;
}

/** One statement for the whole batch; a list goes as JSON, since D1 binds at most 100 parameters. */
export async function append(database: D1Database, entries: readonly LogEntry[]): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map(({ data, subject, ...entry }) => ({
    ...entry,
    subject: subject ?? "",
    data: JSON.stringify(data ?? null),
  }));
  await database
    .prepare(
      `INSERT OR IGNORE INTO log (tenant, source, id, type, subject, time, data)
         SELECT value ->> 'tenant', value ->> 'source', value ->> 'id', value ->> 'type',
                value ->> 'subject', value ->> 'time', value ->> 'data'
           FROM json_each(?)`,
    )
    .bind(JSON.stringify(rows))
    .run();
}

export async function fileLetters(
  database: D1Database,
  letters: readonly Letter[],
  now: number,
): Promise<void> {
  await database
    .prepare(
      `INSERT OR IGNORE INTO dead_letters (message, tenant, queue, reason, body, filed_at)
         SELECT value ->> 'message', value ->> 'tenant', value ->> 'queue', value ->> 'reason',
                value ->> 'body', ?
           FROM json_each(?)`,
    )
    .bind(new Date(now).toISOString(), JSON.stringify(letters))
    .run();
}

/** A page of the log, oldest first; `subject` narrows it to one order. */
export async function readLog(
  database: D1Database,
  { tenant, subject, after, limit }: Page & { subject: string | null },
) {
  const { results } = await database
    .prepare(
      `SELECT position, source, id, type, subject, time, data FROM log
         WHERE tenant = ?1 AND (?2 IS NULL OR subject = ?2) AND position > ?3
         ORDER BY position LIMIT ?4`,
    )
    .bind(tenant, subject, after, limit)
    .all<{ position: number; data: string } & Record<string, unknown>>();
  return results.map((row) => ({ ...row, data: JSON.parse(row.data) as unknown }));
}

export async function readLetters(database: D1Database, { tenant, after, limit }: Page) {
  const { results } = await database
    .prepare(
      `SELECT position, queue, reason, body, filed_at AS filedAt FROM dead_letters
         WHERE (tenant = ?1 OR tenant IS NULL) AND position > ?2 ORDER BY position LIMIT ?3`,
    )
    .bind(tenant, after, limit)
    .all<{ position: number } & Record<string, unknown>>();
  return results;
}

interface Page {
  tenant: string;
  after: number;
  limit: number;
}
