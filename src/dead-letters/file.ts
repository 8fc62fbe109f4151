import { problem, type Problem } from "../contract/problem.ts";
import { checkMessage } from "../contract/shape.ts";
import { headingOf, letterId, textOf, type DeadLetter } from "../contract/dead-letter.ts";

/** Bytes of letters in one statement: D1 binds at most 2 MB. */
const MAX_BYTES = 1_000_000;

/**
 * Files letters. The same death filed twice changes nothing; an event that was sent again and died again
 * is the same letter, dead once more, its history longer. Those without a tenant stand under none.
 */
export async function fileLetters(
  databaseFor: (tenant: string) => D1Database,
  letters: readonly DeadLetter[],
): Promise<void> {
  const byDatabase = Map.groupBy(letters, ({ whose }) => databaseFor(whose?.tenant ?? ""));
  for (const [database, some] of byDatabase) {
    let rows: string[] = [];
    let bytes = 0;
    for (const letter of some) {
      const row = JSON.stringify(rowOf(letter));
      const size = new TextEncoder().encode(row).byteLength;
      if (rows.length > 0 && bytes + size > MAX_BYTES) {
        await write(database, rows);
        [rows, bytes] = [[], 0];
      }
      rows.push(row);
      bytes += size;
    }
    if (rows.length > 0) await write(database, rows);
  }
}

function rowOf(letter: DeadLetter): Record<string, unknown> {
  const { whose, origin, message, body, at } = letter;
  const attempts = Number.isSafeInteger(letter.attempts) ? letter.attempts : 0;
  const reason = plain(letter.reason);
  const { subject, type } = headingOf(body);
  const died = { at: new Date(at).toISOString(), what: "died", attempts, reason };
  return {
    id: letterId(letter),
    tenant: whose?.tenant ?? "",
    jurisdiction: whose?.jurisdiction ?? null,
    ...{ origin: textOf(origin), message: textOf(message), subject, type, attempts, at },
    reason: JSON.stringify(reason),
    body: bodyText(letter),
    died: JSON.stringify(died),
  };
}

/** A queue may carry what JSON can't: then as much as can be told, since a letter must not be lost. */
function bodyText({ whose, body }: DeadLetter): string {
  try {
    return JSON.stringify(body ?? null);
  } catch (error) {
    const unreadable = error instanceof Error ? error.message : String(error);
    const { subject, type } = headingOf(body);
    return JSON.stringify({ ...whose, subject, type, unreadable });
  }
}

/** A reason came in a message as well: what SQLite can't read as JSON is left out. */
function plain(reason: Problem): Problem {
  try {
    checkMessage(reason);
    return reason;
  } catch {
    return problem("exhausted", textOf(reason.detail) ?? "Its reason can't be read.");
  }
}

async function write(database: D1Database, rows: readonly string[]): Promise<void> {
  await database
    .prepare(
      `INSERT INTO dead_letters (id, tenant, jurisdiction, origin, message, subject, type, reason,
             attempts, body, history, status, filed_at, changed_at)
         SELECT value ->> 'id', value ->> 'tenant', value ->> 'jurisdiction', value ->> 'origin',
             value ->> 'message', value ->> 'subject', value ->> 'type', value ->> 'reason',
             value ->> 'attempts', value ->> 'body', json_array(json(value ->> 'died')), 'dead', value ->> 'at',
             value ->> 'at'
           FROM json_each(?) WHERE true
         ON CONFLICT (id) DO UPDATE SET
             message = excluded.message, reason = excluded.reason, attempts = excluded.attempts,
             body = excluded.body, status = 'dead', changed_at = excluded.changed_at,
             history = json_insert(history, '$[#]', json(excluded.history -> 0))
           WHERE message <> excluded.message`,
    )
    .bind(`[${rows.join(",")}]`)
    .run();
}
