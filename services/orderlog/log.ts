import type { ReceivedEvent } from "../../src/cloudevents/received.ts";

export interface LogEntry extends ReceivedEvent {
  tenant: string;
  time: string;
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

interface Page {
  tenant: string;
  after: number;
  limit: number;
}
