import { randomBytes } from "node:crypto";
import { exportJWK, generateKeyPair, importJWK, type JWK } from "jose";
import type { Caller } from "../../src/contract/caller.ts";
import type { PublicKey } from "../../src/contract/published-keys.ts";
import { noteOf } from "./administration.ts";
import { MOST_LIFETIME, type Settings } from "./settings.ts";

/**
 * Milliseconds that a key is published before it signs: longer than any door goes on with the keys it
 * has (`src/ingress/keys.ts`: five minutes).
 */
export const OVERLAP = 600_000;
/** Milliseconds that clocks may differ, and that this isolate's list of keys may be old. */
const SLACK = 120_000;
/** Milliseconds by which a key that is needed at once is dated back, for isolates whose clock is behind. */
const AT_ONCE = 60_000;
/** Milliseconds after which a key is replaced by itself. */
const KEY_LASTS = 30 * 24 * 3_600_000;
/** Milliseconds that an isolate goes on with the keys that it has read. */
const READ_LASTS = 30_000;
/** Milliseconds that an older key may sign in the place of one that this isolate's secret can't open. */
const STAND_IN = 300_000;

export interface KeyRow {
  generation: number;
  kid: string;
  public: string;
  wrapped: string | null;
  signs_from: number;
  withdrawn_at: number | null;
}

export const READ_KEYS = "SELECT * FROM signing_keys ORDER BY generation";

const read = new WeakMap<D1Database, { rows: KeyRow[]; at: number }>();

/** All keys, oldest first; makes the first one. @param latest whether what was read lately won't do */
export async function keyRows(settings: Settings, now: number, latest = false): Promise<KeyRow[]> {
  const { database } = settings;
  const known = read.get(database);
  if (!latest && known !== undefined && now - known.at < READ_LASTS && now >= known.at) {
    return known.rows;
  }
  let { results: rows } = await database.prepare(READ_KEYS).all<KeyRow>();
  if (!rows.some(({ withdrawn_at }) => withdrawn_at === null)) {
    await insertKey(settings, (rows.at(-1)?.generation ?? 0) + 1, now - AT_ONCE);
    ({ results: rows } = await database.prepare(READ_KEYS).all<KeyRow>());
  }
  read.set(database, { rows, at: now });
  return rows;
}

/** The keys that doors must know: the next one, the one that signs, and those whose tokens may live. */
export function publicKeys(rows: readonly KeyRow[], now: number): PublicKey[] {
  const published = spans(rows).filter(({ until }) => now < until + MOST_LIFETIME * 1_000 + SLACK);
  return published.map(({ row }) => JSON.parse(row.public) as PublicKey);
}

/** The keys that weren't withdrawn, each with the time at which the next one takes over. */
function spans(rows: readonly KeyRow[]): { row: KeyRow; until: number }[] {
  const kept = rows.filter(({ withdrawn_at }) => withdrawn_at === null);
  return kept.map((row, at) => ({ row, until: kept[at + 1]?.signs_from ?? Infinity }));
}

/** The key to sign with now. */
export async function signingKey(
  settings: Settings,
  now: number,
): Promise<{ kid: string; key: CryptoKey }> {
  const found = await openKey(settings, await keyRows(settings, now), now);
  if (found !== null) return found;
  // Another isolate may have made one meanwhile; else AUTH_SECRET is another now.
  const rows = await keyRows(settings, now, true);
  const second = await openKey(settings, rows, now);
  if (second !== null) return second;
  await insertKey(settings, rows.at(-1)!.generation + 1, now - AT_ONCE);
  const third = await openKey(settings, await keyRows(settings, now, true), now);
  if (third !== null) return third;
  throw new Error("No signing key can be opened, and a new one could not be made.");
}

async function openKey(settings: Settings, rows: readonly KeyRow[], now: number) {
  for (const { row, until } of spans(rows).toReversed()) {
    if (row.signs_from > now || row.wrapped === null || now >= until + STAND_IN) continue;
    const key = await unwrapped(settings, row.kid, row.wrapped);
    if (key !== null) return { kid: row.kid, key };
  }
  return null;
}

/**
 * Makes the next key, which signs after the overlap; where one waits for its turn already, that is it.
 *
 * @param withdraw whether the present keys are known to others: then none of their tokens is good any
 *   more, and the new one signs at once
 * @param by the administrator, where it was one
 * @returns the next key, and when it begins to sign, in milliseconds since the epoch
 */
export async function rotateKeys(
  settings: Settings,
  now: number,
  withdraw = false,
  by?: Caller,
): Promise<{ kid: string; signsFrom: number }> {
  const { database } = settings;
  const rows = await keyRows(settings, now, true);
  const next = rows.at(-1)!.generation + 1;
  if (withdraw) {
    await insertKey(settings, next, now - AT_ONCE, () => [
      ...(by ? [noteOf(database, by, now, { what: "keys.withdrawn", about: {} })] : []),
      database
        .prepare(
          `UPDATE signing_keys SET withdrawn_at = ?, wrapped = NULL
             WHERE generation < ? AND withdrawn_at IS NULL`,
        )
        .bind(now, next),
    ]);
  } else if (rows.findLast(({ withdrawn_at }) => withdrawn_at === null)!.signs_from <= now) {
    await insertKey(settings, next, now + OVERLAP, (key) => {
      const made = { query: "SELECT 1 FROM signing_keys WHERE kid = ?", values: [key] };
      return by ? [noteOf(database, by, now, { what: "keys.rotated", about: { key } }, made)] : [];
    });
  }
  const newest = (await keyRows(settings, now, true)).findLast(
    ({ withdrawn_at }) => withdrawn_at === null,
  )!;
  return { kid: newest.kid, signsFrom: newest.signs_from };
}

/** By cron: replaces a key in time, forgets private keys that sign no more and keys that nobody needs. */
export async function tendKeys(settings: Settings, now: number): Promise<void> {
  const rows = await keyRows(settings, now, true);
  const newest = rows.findLast(({ withdrawn_at }) => withdrawn_at === null)!;
  if (newest.signs_from + KEY_LASTS <= now) await rotateKeys(settings, now);
  const over = spans(rows).filter(({ until }) => until + STAND_IN + SLACK < now);
  const gone = over.filter(({ until }) => until + MOST_LIFETIME * 1_000 + SLACK < now);
  const list = (some: typeof over) => JSON.stringify(some.map(({ row }) => row.generation));
  const { database } = settings;
  await database.batch([
    database
      .prepare(
        "UPDATE signing_keys SET wrapped = NULL WHERE generation IN (SELECT value FROM json_each(?))",
      )
      .bind(list(over)),
    database
      .prepare("DELETE FROM signing_keys WHERE generation IN (SELECT value FROM json_each(?))")
      .bind(list(gone)),
    database
      .prepare("DELETE FROM signing_keys WHERE withdrawn_at < ?")
      .bind(now - MOST_LIFETIME * 1_000 - SLACK),
  ]);
}

/** Of several who make the same generation at once, one wins; the others read what it has made. */
async function insertKey(
  settings: Settings,
  generation: number,
  signsFrom: number,
  besides: (kid: string) => D1PreparedStatement[] = () => [],
): Promise<void> {
  const { privateKey, publicKey } = await generateKeyPair("EdDSA", { extractable: true });
  const kid = randomBytes(12).toString("base64url");
  const shown = { ...(await exportJWK(publicKey)), kid, alg: "EdDSA", use: "sig" };
  const wrapped = await wrap(settings, kid, await exportJWK(privateKey));
  const { database } = settings;
  await database.batch([
    database
      .prepare(
        `INSERT OR IGNORE INTO signing_keys (generation, kid, public, wrapped, signs_from)
           VALUES (?, ?, ?, ?, ?)`,
      )
      .bind(generation, kid, JSON.stringify(shown), wrapped, signsFrom),
    ...besides(kid),
  ]);
}

const NONCE_BYTES = 12;

async function wrap(settings: Settings, kid: string, key: JWK): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const plain = new TextEncoder().encode(JSON.stringify(key));
  const sealed = await crypto.subtle.encrypt(
    sealing(iv, kid),
    await wrappingKey(settings, "encrypt"),
    plain,
  );
  return Buffer.concat([iv, new Uint8Array(sealed)]).toString("base64url");
}

const opened = new Map<string, CryptoKey>();
const MOST_OPENED = 10;

/** Null where the deployment's secret is another than it was wrapped under. */
async function unwrapped(settings: Settings, kid: string, sealed: string) {
  const name = `${settings.fingerprint("opened keys")} ${kid}`;
  const known = opened.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(sealed, "base64url");
  const iv = new Uint8Array(bytes.subarray(0, NONCE_BYTES));
  let plain: ArrayBuffer;
  try {
    plain = await crypto.subtle.decrypt(
      sealing(iv, kid),
      await wrappingKey(settings, "decrypt"),
      bytes.subarray(NONCE_BYTES),
    );
  } catch {
    return null;
  }
  const key = await importJWK(JSON.parse(new TextDecoder().decode(plain)) as JWK, "EdDSA");
  if (opened.size >= MOST_OPENED) opened.delete(opened.keys().next().value!);
  opened.set(name, key as CryptoKey);
  return key as CryptoKey;
}

/** The kid is sealed along: a wrapped key moved to another row can't be opened. */
const sealing = (iv: Uint8Array<ArrayBuffer>, kid: string) => ({
  name: "AES-GCM",
  iv,
  additionalData: new TextEncoder().encode(kid),
});

const wrappingKey = (settings: Settings, use: "encrypt" | "decrypt") =>
  crypto.subtle.importKey("raw", settings.derive("private keys"), "AES-GCM", false, [use]);
