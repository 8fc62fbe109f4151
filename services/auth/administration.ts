import * as v from "valibot";
import type { Caller } from "../../src/contract/caller.ts";
import { validate } from "../../src/instance/validate.ts";
import type { Deed, DeedPage, NotedDeed } from "../contracts/auth.ts";
import type { Settings } from "./settings.ts";

/** Milliseconds that is known who administered what. */
const KEPT = 400 * 24 * 3_600_000;

const whole = (least: number, most: number) =>
  v.pipe(v.string(), v.digits(), v.transform(Number), v.minValue(least), v.maxValue(most));
const page = v.strictObject({
  after: v.optional(whole(0, Number.MAX_SAFE_INTEGER), "0"),
  limit: v.optional(whole(1, 1_000), "100"),
});

/**
 * What notes a deed, for the batch that does it: both or neither.
 *
 * @param about whom or what, by names alone: never a secret, nor its hash
 * @param only a query and its values: the deed is noted where it finds something at that place of the batch
 */
export function noteOf(
  database: D1Database,
  { tenant, subject, credential }: Caller,
  now: number,
  { what, about }: Deed,
  only?: { query: string; values: string[] },
): D1PreparedStatement {
  return database
    .prepare(
      `INSERT INTO administration (at, tenant, subject, credential, what, about)
         SELECT ?, ?, ?, ?, ?, ? ${only === undefined ? "" : `WHERE EXISTS (${only.query})`}`,
    )
    .bind(
      ...[now, tenant, subject, credential ?? null, what, JSON.stringify(about)],
      ...(only?.values ?? []),
    );
}

/** What was done in a tenant, oldest first. @throws ProblemError invalid-body */
export async function notedDeeds(
  { database }: Settings,
  tenant: string,
  parameters: DeedPage,
): Promise<NotedDeed[]> {
  const { after, limit } = validate(page, parameters, "");
  const { results } = await database
    .prepare(
      `SELECT position, at, subject, credential, what, about FROM administration
        WHERE tenant = ? AND position > ? ORDER BY position LIMIT ?`,
    )
    .bind(tenant, after, limit)
    .all<Omit<NotedDeed, "time" | "about"> & { at: number; about: string }>();
  return results.map(({ position, at, about, ...deed }) => {
    const time = new Date(at).toISOString();
    return { position, time, ...deed, about: JSON.parse(about) as unknown } as NotedDeed;
  });
}

/** By cron: forgets what was done long ago. */
export async function tendAdministration({ database }: Settings, now: number): Promise<void> {
  await database
    .prepare("DELETE FROM administration WHERE at < ?")
    .bind(now - KEPT)
    .run();
}
