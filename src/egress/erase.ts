import { addressNamed, subjectOf } from "../contract/address.ts";
import { emptyDrawers } from "../contract/buckets.ts";
import { realmOfOwn, type Whose } from "../contract/realm.ts";
import { webhooksOf } from "../contract/webhooks.ts";

/**
 * Removes an instance's payloads, those that were still coming in too. May be repeated.
 *
 * @param objectId the object's id in hexadecimal
 * @returns how many objects there were; 0 where no bucket is bound
 */
export async function erasePayloads(env: unknown, objectId: string): Promise<number> {
  const stored = await emptyDrawers(env, "payload", objectId);
  return stored + (await emptyDrawers(env, "upload", objectId));
}

/**
 * Removes what of an instance's journal was archived, of all its epochs. May be repeated. To be called
 * once the instance's own storage is gone: an archiving that is under way then takes back what it stores.
 *
 * @param objectId the object's id in hexadecimal
 * @returns how many objects there were; 0 where no bucket is bound
 */
export function eraseArchive(env: unknown, objectId: string): Promise<number> {
  return emptyDrawers(env, "journal", objectId);
}

/**
 * Removes what of an instance is still to be delivered by webhooks, or noted about it there. May be
 * repeated; does nothing where WEBHOOKS is not bound.
 *
 * @param name the object's
 * @throws Error where that is not known, to be tried again
 */
export async function eraseWebhooks(
  env: unknown,
  name: string | undefined,
  jurisdiction: Whose["jurisdiction"],
): Promise<void> {
  if ((env as { WEBHOOKS?: unknown } | undefined)?.WEBHOOKS === undefined) return;
  // Found by its id alone, an object doesn't know its name; the next time it wakes by itself it does.
  if (name === undefined) throw new Error("An object without its name can't say what to erase.");
  const address = addressNamed(name);
  const scope = realmOfOwn({ tenant: address.tenant, jurisdiction });
  await webhooksOf(env, scope)?.eraseSubject(scope, subjectOf(address));
}
