import type { ListedHead } from "../contract/verification.ts";
import { databaseOf } from "./databases.ts";

/**
 * What the list was told last of an instance's journal.
 *
 * @param object its id in hexadecimal
 * @returns null where it knows nothing, or there is no list
 */
export async function listedHead(
  databases: readonly D1Database[],
  tenant: string,
  object: string,
): Promise<ListedHead | null> {
  if (databases.length === 0) return null;
  return databaseOf(databases, tenant)
    .prepare("SELECT epoch, seq, head FROM instances WHERE object = ? AND tenant = ?")
    .bind(object, tenant)
    .first<ListedHead & Record<string, unknown>>();
}
