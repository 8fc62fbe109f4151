import { refusal } from "../../src/contract/problem.ts";
import type { Settings } from "./settings.ts";

/** What is counted, and how it slows down: `free` tries, then 1 s, 2 s, 4 s … up to `most` seconds. */
interface Rule {
  key: string;
  free: number;
  most: number;
}

/** Milliseconds after which failures are forgotten. */
const FORGOTTEN = 3_600_000;
/** Milliseconds that an address is a user's own after a login from there. */
const KNOWN = 30 * 24 * 3_600_000;

/**
 * Counts a login as failed before it is tried, so that many at once don't slip through; `undo` takes that
 * back when it was good.
 *
 * Counted are: this account from this address (5 free, up to 15 minutes), the address whatever the
 * account (20 free, up to 15 minutes), and the account from addresses where its user never logged in
 * (20 free, up to 30 seconds). So whoever guesses from many addresses is slowed down, and locks the user
 * out of no place that she has been at, and of others for 30 seconds at a time.
 *
 * @throws ProblemError too-many-attempts
 */
export async function countLogin(
  settings: Settings,
  account: string,
  address: string,
  now: number,
): Promise<{ succeeded(): Promise<void> }> {
  const { database, fingerprint } = settings;
  const network = networkOf(address);
  const known = fingerprint(`known ${account} ${network}`);
  const isKnown = await database
    .prepare("SELECT 1 FROM known_addresses WHERE key = ? AND at > ?")
    .bind(known, now - KNOWN)
    .first();
  const own = { key: fingerprint(`login ${account} ${network}`), free: 5, most: 900 };
  const rules = [
    own,
    { key: fingerprint(`address ${network}`), free: 20, most: 900 },
    ...(isKnown === null ? [{ key: fingerprint(`account ${account}`), free: 20, most: 30 }] : []),
  ];
  await count(settings, rules, now);
  return {
    succeeded: async () => {
      const keys = JSON.stringify(rules.map(({ key }) => key));
      await database.batch([
        database
          .prepare(
            `UPDATE attempts SET failures = max(failures - 1, 0), until = 0
               WHERE key IN (SELECT value FROM json_each(?))`,
          )
          .bind(keys),
        database.prepare("DELETE FROM attempts WHERE key = ?").bind(own.key),
        database
          .prepare("INSERT OR REPLACE INTO known_addresses (key, at) VALUES (?, ?)")
          .bind(known, now),
      ]);
    },
  };
}

/** Counts a registration: ten free an address, then ever slower. @throws ProblemError too-many-attempts */
export async function countRegistration(
  settings: Settings,
  address: string,
  now: number,
): Promise<void> {
  const key = settings.fingerprint(`registration ${networkOf(address)}`);
  await count(settings, [{ key, free: 10, most: 900 }], now);
}

async function count({ database }: Settings, rules: readonly Rule[], now: number): Promise<void> {
  const list = JSON.stringify(rules);
  // One transaction: nobody comes between the look and the count.
  const [waits] = await database.batch<{ until: number | null }>([
    database
      .prepare(
        `SELECT max(until) AS until FROM attempts
           WHERE key IN (SELECT value ->> 'key' FROM json_each(?))`,
      )
      .bind(list),
    database
      .prepare(
        `WITH rules AS (
           SELECT value ->> 'key' AS key, value ->> 'free' AS free, value ->> 'most' AS most
             FROM json_each(?1)
         ), counted AS (
           SELECT rules.key, free, most,
                  CASE WHEN last_at > ?2 - ?3 THEN failures ELSE 0 END + 1 AS failures
             FROM rules LEFT JOIN attempts USING (key)
            WHERE NOT EXISTS (SELECT 1 FROM attempts JOIN rules USING (key) WHERE until > ?2)
         )
         INSERT OR REPLACE INTO attempts (key, failures, last_at, until)
           SELECT key, failures, ?2,
                  CASE WHEN failures <= free THEN 0
                       ELSE ?2 + 1000 * min(most, 1 << min(failures - free - 1, 20)) END
             FROM counted`,
      )
      .bind(list, now, FORGOTTEN),
  ]);
  const until = waits?.results[0]?.until ?? 0;
  if (until <= now) return;
  const retryAfter = Math.ceil((until - now) / 1_000);
  throw refusal("too-many-attempts", `Too many attempts. Try again in ${retryAfter} s.`, {
    retryAfter,
  });
}

/** By cron: forgets what counts no more. */
export async function tendThrottle({ database }: Settings, now: number): Promise<void> {
  await database.batch([
    database.prepare("DELETE FROM attempts WHERE last_at < ?").bind(now - FORGOTTEN),
    database.prepare("DELETE FROM known_addresses WHERE at < ?").bind(now - KNOWN),
  ]);
}

/** An IPv4 address, or the /64 of an IPv6 one: who has one address of that has them all. */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  let whole: string;
  try {
    whole = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  } catch {
    return address;
  }
  const [head = "", tail] = whole.split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined
      ? front
      : [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
