import type { ListedHead } from "../contract/verification.ts";
import { mine, type RealmRows } from "../contract/realm-rows.ts";

/**
 * What the list was told last of an instance's journal.
 *
 * @param object its id in hexadecimal
 * @returns null where it knows nothing, or there is no list
 */
export async function listedHead(
  rows: RealmRows | null,
  object: string,
): Promise<ListedHead | null> {
  if (rows === null) return null;
  return rows.first<ListedHead>(
    `SELECT epoch, seq, head FROM instances WHERE ${mine("instances")} AND object = ?3`,
    object,
  );
}
