import { databaseOf, databasesOf } from "../contract/databases.ts";
import { labelOf } from "./labels.ts";

const LIVE = ["active", "paused", "scheduled", "quarantined"].map(labelOf.status);

/** About how many instances of a tenant have not come to their end, in all jurisdictions; null where there is no list. */
export async function countLive(env: unknown, tenant: string): Promise<number | null> {
  const databases = databasesOf(env);
  if (databases.length === 0) return null;
  const found = await databaseOf(databases, tenant)
    .prepare(
      `SELECT coalesce(sum(count), 0) AS live FROM counts
         WHERE tenant = ?1 AND label IN (SELECT value FROM json_each(?2))`,
    )
    .bind(tenant, JSON.stringify(LIVE))
    .first<{ live: number }>();
  return found?.live ?? 0;
}
