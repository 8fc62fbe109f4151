import { env } from "cloudflare:workers";
import { decodeProtectedHeader } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { authenticateHeader } from "../../src/ingress/token.ts";
import { accessToken } from "../../services/auth/access-token.ts";
import {
  keyRows,
  OVERLAP,
  publicKeys,
  rotateKeys,
  tendKeys,
} from "../../services/auth/signing-keys.ts";
import { doorSettings, keys, settings } from "./service.ts";

const holder = () => ({
  ...{ subject: "client:test", sid: crypto.randomUUID(), tenant: "tropical" },
  ...{ roles: ["service"], scopes: ["dead-letters"] },
});

let now = Date.now();
const advance = (milliseconds: number) => {
  now += milliseconds;
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now);
};
afterEach(() => vi.useRealTimers());

const mint = async (at = Date.now(), secret?: string) =>
  (await accessToken(settings(secret === undefined ? {} : { AUTH_SECRET: secret }), holder(), at))
    .access_token;
const kidOf = (token: string) => decodeProtectedHeader(token).kid!;
const enter = (token: string) => authenticateHeader(`Bearer ${token}`, doorSettings());
const publishedKids = async () => (await keys.published()).keys.map(({ kid }) => kid);

describe("signing keys", () => {
  it("the first is made once, however many ask first", async () => {
    const all = await Promise.all(Array.from({ length: 10 }, () => keyRows(settings(), now, true)));
    expect(new Set(all.map((rows) => JSON.stringify(rows))).size).toBe(1);
    expect(all[0]).toHaveLength(1);
    expect(await enter(await mint())).toMatchObject({ scopes: ["dead-letters"] });
  });

  it("are stored sealed: neither the private half nor the secret is in the row", async () => {
    const [row] = await keyRows(settings(), now, true);
    expect(JSON.parse(row!.public)).not.toHaveProperty("d");
    const bytes = Buffer.from(row!.wrapped!, "base64url");
    expect(bytes.toString("latin1")).not.toMatch(/"d"|OKP/);
    // Put into another row it can't be opened: the kid is sealed along.
    const other = { ...row!, kid: "other" };
    await env.ACCOUNTS.prepare(
      "INSERT INTO signing_keys (generation, kid, public, wrapped, signs_from) VALUES (?, ?, ?, ?, ?)",
    )
      .bind(row!.generation + 1, other.kid, row!.public, row!.wrapped, now - 1_000)
      .run();
    await keyRows(settings(), now, true);
    expect(kidOf(await mint(now))).toBe(row!.kid);
    await env.ACCOUNTS.prepare("DELETE FROM signing_keys WHERE kid = 'other'").run();
    await keyRows(settings(), now, true);
  });

  it("are rotated under continuous requests, and none of them fails", async () => {
    advance(0);
    const before = kidOf(await mint());
    const { kid: next, signsFrom } = await rotateKeys(settings(), now);
    expect(signsFrom).toBe(now + OVERLAP);
    // Asked again it is the same: one waits for its turn already.
    expect((await rotateKeys(settings(), now)).kid).toBe(next);
    const live: { token: string; ends: number }[] = [];
    const signed = new Set<string>();
    let requests = 0;
    // An hour and a half, every twenty seconds a new token, and all that live are used.
    for (let second = 0; second < 5_400; second += 20) {
      advance(20_000);
      const token = await mint();
      signed.add(kidOf(token));
      expect(kidOf(token)).toBe(now < signsFrom ? before : next);
      live.push({ token, ends: now + 600_000 });
      const good = live.filter(({ ends }) => ends > now + 1_000).filter((_, at) => at % 5 === 0);
      for (const { token } of good) await enter(token);
      requests += good.length;
      // The next key was known to all long before it signed.
      expect(await publishedKids()).toContain(next);
    }
    expect([...signed]).toEqual([before, next]);
    expect(requests).toBeGreaterThan(1_000);
    // The old one is forgotten when its last token has ended, its private half before.
    await tendKeys(settings(), now);
    expect(await publishedKids()).toEqual([next]);
    const rows = await keyRows(settings(), now, true);
    expect(rows.map(({ kid }) => kid)).toEqual([next]);
  });

  it("stay published while a token of an hour may live, without a private half", async () => {
    advance(0);
    const old = kidOf(await mint());
    const { signsFrom } = await rotateKeys(settings(), now);
    advance(signsFrom - now + 3_600_000);
    await tendKeys(settings(), now);
    expect(await publishedKids()).toContain(old);
    const rows = await keyRows(settings(), now, true);
    expect(rows.find(({ kid }) => kid === old)!.wrapped).toBeNull();
    advance(180_000);
    expect(await publishedKids()).not.toContain(old);
  });

  it("are rotated by themselves after thirty days", async () => {
    advance(0);
    const old = kidOf(await mint());
    advance(29 * 86_400_000);
    await tendKeys(settings(), now);
    expect((await keyRows(settings(), now, true)).at(-1)!.kid).toBe(old);
    advance(2 * 86_400_000);
    await tendKeys(settings(), now);
    const newest = (await keyRows(settings(), now, true)).at(-1)!;
    expect(newest).toMatchObject({ signs_from: now + OVERLAP });
    expect(newest.kid).not.toBe(old);
  });

  it("that are withdrawn take their tokens along within a minute; the new one signs at once", async () => {
    advance(3_600_000);
    const stolen = await mint();
    await enter(stolen);
    const { kid } = await rotateKeys(settings(), now, true);
    const fresh = await mint();
    expect(kidOf(fresh)).toBe(kid);
    advance(6_000);
    await enter(fresh);
    advance(60_000);
    await expect(enter(stolen)).rejects.toMatchObject({ problem: { status: 401 } });
    await enter(fresh);
  });

  it("made under another AUTH_SECRET are replaced by one that signs at once", async () => {
    advance(3_600_000);
    const old = await mint();
    const token = await mint(now, "another secret of the deployment, long enough");
    expect(kidOf(token)).not.toBe(kidOf(old));
    advance(6_000);
    await enter(token);
    await enter(old);
    // While both secrets are about, each side goes on with its own: no key after the other.
    const count = (await keyRows(settings(), now, true)).length;
    await mint();
    await mint(now, "another secret of the deployment, long enough");
    await mint();
    expect((await keyRows(settings(), now, true)).length).toBe(count);
  });
});

describe("what doors are told", () => {
  it("is public keys only", async () => {
    const { keys: published } = await keys.published();
    expect(publicKeys(await keyRows(settings(), now, true), now).length).toBeGreaterThan(0);
    for (const key of published) {
      expect(Object.keys(key).toSorted()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
    }
  });

  it("names five thousand ended sessions; with more, what was issued until then is refused", async () => {
    advance(3_600_000);
    const early = await mint();
    advance(10_000);
    const at = now;
    await env.ACCOUNTS.prepare(
      `INSERT INTO revocations (sid, at, until)
         WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5100)
         SELECT 'ended-' || i, ?1 + i, ?1 + 4000000 FROM n`,
    )
      .bind(at)
      .run();
    advance(60_000);
    const late = await mint();
    const told = await keys.published();
    expect(told.revoked).toHaveLength(5_000);
    expect(told.revoked).toContain("ended-5100");
    // Number 100 is the newest that isn't named.
    expect(told.revokedBefore).toBe(at + 100);
    advance(60_000);
    await expect(enter(early)).rejects.toMatchObject({ problem: { status: 401 } });
    await enter(late);
  });
});
