import { afterEach, describe, expect, it, vi } from "vitest";
import { authenticateHeader } from "../../src/ingress/token.ts";
import type { TokenSettings } from "../../src/ingress/token-settings.ts";
import { Issuer, keyServer } from "./issuer.ts";

let now = Date.now();
const advance = (milliseconds: number) => {
  now += milliseconds;
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now);
};
afterEach(() => vi.useRealTimers());

const enter = (settings: TokenSettings, token: string) =>
  authenticateHeader(`Bearer ${token}`, settings);
const unauthenticated = { problem: { status: 401 } };
const outOfReach = {
  problem: { status: 503, type: "urn:durachart:problem:keys-out-of-reach", retryAfter: 5 },
};
/** Lives long, so that what is looked at is the keys. */
const lasting = () => ({ exp: Math.floor(now / 1_000) + 200_000, sid: undefined });

/** Waits, without a clock, until what goes on behind the requests' backs has had its effect. */
async function untilRefused(settings: TokenSettings, token: string): Promise<void> {
  for (let turns = 0; turns < 1_000; turns += 1) {
    const refused = await enter(settings, token).then(
      () => false,
      () => true,
    );
    if (refused) return;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  throw new Error("It was let in a thousand times.");
}

describe("the keys of the auth service", () => {
  it("are asked for once, however many come first", async () => {
    const issuer = await new Issuer().addKey("k1");
    const token = await issuer.token();
    const settings = issuer.settings();
    await Promise.all(Array.from({ length: 100 }, () => enter(settings, token)));
    expect(issuer.asked).toBe(1);
  });

  it("are asked for once in five seconds by a flood of keys that are made up", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    await enter(settings, await issuer.token(lasting()));
    expect(issuer.asked).toBe(1);
    advance(5_000);
    const made = await Promise.all(
      Array.from({ length: 300 }, (_, at) => issuer.token(lasting(), { kid: `made-up-${at}` })),
    );
    const answers = await Promise.allSettled(made.map((token) => enter(settings, token)));
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: "rejected", reason: unauthenticated });
    }
    expect(issuer.asked).toBe(2);
    advance(4_000);
    await expect(enter(settings, made[0]!)).rejects.toMatchObject(unauthenticated);
    expect(issuer.asked).toBe(2);
    // Nobody else is harmed by it.
    await enter(settings, await issuer.token(lasting()));
  });

  it("that are new are accepted at once, by all who come with one", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    await enter(settings, await issuer.token(lasting()));
    await issuer.addKey("k2");
    advance(5_000);
    const tokens = await Promise.all(
      Array.from({ length: 50 }, () => issuer.token(lasting(), {}, "k2")),
    );
    await Promise.all(tokens.map((token) => enter(settings, token)));
    expect(issuer.asked).toBe(2);
  });

  it("are looked at again behind a request's back after 30 s, and before it after a minute", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const token = await issuer.token({ ...lasting(), sid: "s-9" });
    await enter(settings, token);
    issuer.revoked.push("s-9");
    advance(29_000);
    await enter(settings, token);
    expect(issuer.asked).toBe(1);
    advance(2_000);
    // It waits for nothing: what it was is what counts for this one.
    await enter(settings, token);
    await untilRefused(settings, token);
    expect(issuer.asked).toBe(2);
    // A door that nobody came to for long asks before it answers.
    issuer.revoked.push("s-10");
    const idle = await issuer.token({ ...lasting(), sid: "s-10" });
    advance(61_000);
    await expect(enter(settings, idle)).rejects.toMatchObject(unauthenticated);
    expect(issuer.asked).toBe(3);
  });

  it("outlive an outage of the auth service by 24 hours, and then are gone", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const token = await issuer.token(lasting());
    await enter(settings, token);
    issuer.isDown = true;
    for (let minutes = 0; minutes < 24 * 60 - 10; minutes += 10) {
      advance(600_000);
      await enter(settings, minutes % 20 === 0 ? token : await issuer.token(lasting()));
    }
    expect(issuer.asked).toBe(24 * 6);
    // A key that is new meanwhile can't be told from one that is made up: nobody is called wrong.
    const made = await issuer.token(lasting(), { kid: "k2" });
    await expect(enter(settings, made)).rejects.toMatchObject(outOfReach);
    advance(660_000);
    await expect(enter(settings, token)).rejects.toMatchObject(outOfReach);
    issuer.isDown = false;
    advance(5_000);
    await enter(settings, token);
    await expect(enter(settings, made)).rejects.toMatchObject(unauthenticated);
  });

  it("that can't be had at all are 503, and one question in five seconds", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    issuer.isDown = true;
    const settings = issuer.settings();
    const token = await issuer.token(lasting());
    const answers = await Promise.allSettled(
      Array.from({ length: 50 }, () => enter(settings, token)),
    );
    for (const answer of answers) {
      expect(answer).toMatchObject({ status: "rejected", reason: outOfReach });
    }
    expect(issuer.asked).toBe(1);
    issuer.isDown = false;
    advance(5_000);
    await enter(settings, token);
    expect(issuer.asked).toBe(2);
  });

  it("go on as they were where the answer has no usable key in it", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const token = await issuer.token(lasting());
    await enter(settings, token);
    const key = issuer.published.pop()!;
    advance(61_000);
    await enter(settings, token);
    expect(issuer.asked).toBe(2);
    issuer.published.push(key);
  });

  it("whose issuer never answers hold up nobody for ever, nor anybody who has keys already", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const token = await issuer.token(lasting());
    let calls = 0;
    let isHanging = true;
    const { AUTH } = settings;
    const published = () => {
      calls += 1;
      return isHanging ? new Promise<never>(() => {}) : AUTH.published();
    };
    const hanging = { ...settings, AUTH: { published } };
    await expect(enter(hanging, token)).rejects.toMatchObject(outOfReach);
    isHanging = false;
    advance(5_000);
    await enter(hanging, token);
    isHanging = true;
    advance(61_000);
    // The first finds out, within its patience; while the next question hangs nobody waits for it.
    await enter(hanging, token);
    expect(calls).toBe(3);
    advance(5_000);
    for (let requests = 0; requests < 100; requests += 1) await enter(hanging, token);
    expect(calls).toBe(4);
  });
});

describe("a token that was verified", () => {
  it("isn't let in past its end, nor after its key is gone", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1");
    await issuer.addKey("k2");
    const settings = issuer.settings();
    const short = await issuer.token({ exp: Math.floor(now / 1_000) + 20 });
    const lasts = await issuer.token(lasting(), {}, "k2");
    await enter(settings, short);
    await enter(settings, lasts);
    advance(19_000);
    await enter(settings, short);
    advance(7_000);
    await expect(enter(settings, short)).rejects.toMatchObject(unauthenticated);
    issuer.published.pop();
    advance(61_000);
    await expect(enter(settings, lasts)).rejects.toMatchObject(unauthenticated);
  });

  it("isn't verified again, and is forgotten after a thousand others, not with them all", async () => {
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const verify = vi.spyOn(crypto.subtle, "verify");
    try {
      const used = await issuer.token();
      const unused = await issuer.token();
      await enter(settings, unused);
      await enter(settings, used);
      await enter(settings, used);
      expect(verify).toHaveBeenCalledTimes(2);
      for (let others = 0; others < 999; others += 1) {
        await enter(settings, await issuer.token());
        if (others % 100 === 0) await enter(settings, used);
      }
      expect(verify).toHaveBeenCalledTimes(1_001);
      await enter(settings, used);
      expect(verify).toHaveBeenCalledTimes(1_001);
      await enter(settings, unused);
      expect(verify).toHaveBeenCalledTimes(1_002);
    } finally {
      verify.mockRestore();
    }
  });

  it("counts for its own settings alone", async () => {
    const issuer = await new Issuer().addKey("k1");
    const settings = issuer.settings();
    const token = await issuer.token();
    await enter(settings, token);
    const { TOKEN_ISSUER, TOKEN_AUDIENCE } = settings;
    // Names that would be the same if they were only written one after the other.
    const others: TokenSettings[] = [
      { ...settings, TOKEN_AUDIENCE: "other" },
      { ...settings, TOKEN_ISSUER: `${TOKEN_ISSUER}","durachart` },
      { ...settings, TOKEN_ISSUER: TOKEN_ISSUER + TOKEN_AUDIENCE, TOKEN_AUDIENCE: " " },
    ];
    for (const other of others) {
      await expect(enter(other, token)).rejects.toMatchObject(unauthenticated);
    }
  });
});

describe("an outside issuer's key server", () => {
  const outside = (issuer: Issuer, name: string): TokenSettings => ({
    ...{ TOKEN_ISSUER: issuer.issuer, TOKEN_AUDIENCE: issuer.audience },
    TOKEN_KEYS_URL: keyServer.url(name),
  });

  it("is asked over HTTP, once for a flood, and its outage is outlived", async () => {
    advance(0);
    const issuer = await new Issuer().addKey("k1", "ES256");
    const settings = outside(issuer, "flood");
    await keyServer.answer("flood", { status: 200, body: { keys: issuer.published }, delay: 50 });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => issuer.token(lasting())));
    await Promise.all(tokens.map((token) => enter(settings, token)));
    expect(await keyServer.count("flood")).toBe(1);
    advance(5_000);
    const made = await Promise.all(
      Array.from({ length: 200 }, (_, at) => issuer.token(lasting(), { kid: `made-up-${at}` })),
    );
    await Promise.allSettled(made.map((token) => enter(settings, token)));
    expect(await keyServer.count("flood")).toBe(2);
    await keyServer.answer("flood", { status: 500, body: {} });
    advance(23 * 3_600_000);
    await enter(settings, tokens[0]!);
    expect(await keyServer.count("flood")).toBe(3);
    await issuer.addKey("k2");
    await keyServer.answer("flood", { status: 200, body: { keys: issuer.published } });
    advance(5_000);
    await enter(settings, await issuer.token(lasting(), {}, "k2"));
  });

  it("says nothing of revoked sessions, and has no say in that", async () => {
    const issuer = await new Issuer().addKey("k1");
    const body = {
      keys: issuer.published,
      revoked: ["s-1"],
      revokedBefore: Date.now() + 1_000_000,
    };
    await keyServer.answer("revoking", { status: 200, body });
    await enter(outside(issuer, "revoking"), await issuer.token());
  });

  it.each([
    ["an error", 500, {}],
    ["no key set", 200, { keys: "none" }],
    ["no usable key", 200, { keys: [{ kty: "oct", kid: "k1", k: "AAAA" }] }],
    ["too much", 200, { keys: [], padding: "x".repeat(1_000_001) }],
  ])("that answers %s is 503, not 401", async (what, status, body) => {
    const issuer = await new Issuer().addKey("k1");
    const name = what.replaceAll(" ", "-");
    await keyServer.answer(name, { status, body });
    const entering = enter(outside(issuer, name), await issuer.token());
    await expect(entering).rejects.toMatchObject(outOfReach);
  });

  it.each(["http://keys.example/jwks", "file:///etc/passwd", "keys", "http://127.0.0.1.evil/"])(
    "isn't asked at %s",
    async (TOKEN_KEYS_URL) => {
      const issuer = await new Issuer().addKey("k1");
      const settings = { ...outside(issuer, "x"), TOKEN_KEYS_URL };
      await expect(enter(settings, await issuer.token())).rejects.toMatchObject({
        problem: { status: 503, type: "urn:durachart:problem:not-configured" },
      });
    },
  );
});

describe("settings", () => {
  it("that are missing or malformed close the door: 503", async () => {
    const issuer = await new Issuer().addKey("k1");
    const token = await issuer.token();
    const good = issuer.settings();
    const TOKEN_KEYS = JSON.stringify({ keys: issuer.published });
    const incomplete: TokenSettings[] = [
      {},
      { TOKEN_ISSUER: issuer.issuer, TOKEN_AUDIENCE: issuer.audience },
      { ...good, TOKEN_ISSUER: "" },
      { ...good, TOKEN_AUDIENCE: "" },
      { ...good, TOKEN_KEYS: "no json" },
      { ...good, TOKEN_KEYS: `{"keys":[]}` },
    ];
    for (const settings of incomplete) {
      for (const _ of [1, 2]) {
        await expect(enter(settings, token)).rejects.toMatchObject({
          problem: { status: 503, type: "urn:durachart:problem:not-configured" },
        });
      }
    }
    await enter({ ...good, TOKEN_KEYS }, token);
    expect(issuer.asked).toBe(0);
  });
});
