/** Wakes an object by its id, so that it goes on with what is due and tells the list anew. */
export type Wake = (object: string, jurisdiction: string | null) => Promise<void>;

/** How long an instance's own alarm may be late, in milliseconds. */
const LATE = 60_000;

/** A run has a thousand calls in all, its database's included. */
const MAX_A_RUN = 500;
const PAGE = 100;
const AT_ONCE = 10;

/** Nobody waits longer for one object than that. */
const PATIENCE = 10_000;

/**
 * Wakes the instances whose due time passed a while ago: their alarm was lost, or the list knows less
 * than they do. Each is put back in the queue first, so that those which can't be woken keep nobody
 * from their turn.
 *
 * @returns how many were woken, and how many could not be
 */
export async function sweep(
  databases: readonly D1Database[],
  wake: Wake,
  now: number,
): Promise<{ woken: number; failed: number }> {
  const sum = { woken: 0, failed: 0 };
  const share = Math.floor(MAX_A_RUN / Math.max(1, databases.length));
  for (const database of databases) {
    for (let left = share; left > 0; left -= PAGE) {
      const overdue = await takeOverdue(database, now, Math.min(left, PAGE));
      const { woken, failed } = await wakeAll(overdue, wake);
      sum.woken += woken;
      sum.failed += failed.length;
      if (overdue.length < PAGE) break;
    }
  }
  return sum;
}

export interface Sleeper {
  object: string;
  jurisdiction: string | null;
}

/** Some at a time; one that fails or hangs doesn't stop the others. */
export async function wakeAll(
  sleepers: readonly Sleeper[],
  wake: Wake,
): Promise<{ woken: number; failed: { object: string; error: string }[] }> {
  const waiting = [...sleepers];
  const failed: { object: string; error: string }[] = [];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      try {
        await withPatience(wake(next.object, next.jurisdiction));
      } catch (error) {
        failed.push({ object: next.object, error: (error as Error).message });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { woken: sleepers.length - failed.length, failed };
}

async function withPatience(work: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const outOfPatience = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It took over ${PATIENCE} ms`)), PATIENCE);
  });
  try {
    await Promise.race([work, outOfPatience]);
  } finally {
    clearTimeout(timer);
  }
}

async function takeOverdue(database: D1Database, now: number, limit: number): Promise<Sleeper[]> {
  const { results } = await database
    .prepare(
      `UPDATE instances SET due = ?1 WHERE object IN
         (SELECT object FROM instances WHERE due < ?2 ORDER BY due LIMIT ?3)
       RETURNING object, jurisdiction`,
    )
    .bind(now, now - LATE, limit)
    .all<Sleeper>();
  return results;
}
