import type { PublicKey, PublishedKeys } from "../../src/contract/published-keys.ts";
import { keyRows, publicKeys, READ_KEYS, type KeyRow } from "./signing-keys.ts";
import type { Settings } from "./settings.ts";

/** Ended sessions that are named to the doors one by one. */
const MOST_NAMED = 5_000;

/** What doors ask for: always as it is now. */
export async function publishedTo(settings: Settings, now: number): Promise<PublishedKeys> {
  const { database } = settings;
  const [keys, ended] = await database.batch([
    database.prepare(READ_KEYS),
    database
      .prepare("SELECT sid, at FROM revocations WHERE until > ? ORDER BY at DESC LIMIT ?")
      .bind(now, MOST_NAMED + 1),
  ]);
  const known = keys!.results as unknown as KeyRow[];
  // Where there is none yet the first one is made.
  const rows = known.length === 0 ? await keyRows(settings, now, true) : known;
  const revoked = ended!.results as { sid: string; at: number }[];
  const unnamed = revoked.length > MOST_NAMED ? revoked.pop() : undefined;
  return {
    keys: publicKeys(rows, now),
    revoked: revoked.map(({ sid }) => sid),
    ...(unnamed === undefined ? {} : { revokedBefore: unnamed.at }),
  };
}

/** The key set for everybody: half a minute old at most. */
export async function publicKeySet(
  settings: Settings,
  now: number,
): Promise<{ keys: PublicKey[] }> {
  return { keys: publicKeys(await keyRows(settings, now), now) };
}
