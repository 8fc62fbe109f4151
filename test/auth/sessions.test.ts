import { env } from "cloudflare:workers";
import { decodeProtectedHeader } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { authenticateHeader } from "../../src/ingress/token.ts";
import { register } from "../../services/auth/users.ts";
import { tendSessions } from "../../services/auth/sessions.ts";
import {
  auth,
  claimsOf,
  doorSettings,
  keys,
  openly,
  password,
  problemOf,
  session,
  settings,
  user,
  value,
} from "./service.ts";

afterEach(() => vi.useRealTimers());
const advance = (milliseconds: number) => {
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now + milliseconds);
};

const enter = ({ access_token }: { access_token: string }) =>
  authenticateHeader(`Bearer ${access_token}`, doorSettings());

describe("a login", () => {
  it("gives an access token for ten minutes that opens the doors, as a customer and nothing else", async () => {
    const granted = await session();
    expect(granted).toMatchObject({ token_type: "Bearer", expires_in: 600 });
    expect(decodeProtectedHeader(granted.access_token)).toEqual({
      ...{ alg: "EdDSA", typ: "at+jwt", kid: expect.any(String) as string },
    });
    const claims = claimsOf(granted);
    expect(Object.keys(claims).toSorted()).toEqual(
      ["aud", "exp", "iat", "iss", "jti", "nbf", "roles", "sid", "sub", "tenant"].toSorted(),
    );
    expect(claims.exp! - claims.iat!).toBe(600);
    expect(await enter(granted)).toEqual({
      tenant: env.AUTH_TENANT,
      subject: claims.sub,
      roles: ["customer"],
      credential: `token:${claims.jti}`,
    });
  });

  it("answers an unknown user and a wrong password alike", async () => {
    const address = "198.51.100.7";
    const wrong = await auth.logIn({ username: await user(), password: "not hers" }, address);
    const unknown = await auth.logIn({ username: "nobody-at-all", password }, address);
    expect(problemOf(wrong)).toMatchObject({ status: 401 });
    expect(unknown).toEqual(wrong);
  });

  it("finds the user however her name is typed", async () => {
    const username = await user();
    expect(claimsOf(await session(username.toUpperCase())).sub).toBe(
      claimsOf(await session(username)).sub,
    );
  });
});

describe("a registration", () => {
  it("of a name that is taken answers the same, and she keeps her password", async () => {
    const username = await user();
    const other = { username, password: "somebody else's" };
    await register(openly(), other, "198.51.100.8", Date.now());
    const login = { username, password: "somebody else's" };
    expect(problemOf(await auth.logIn(login, "198.51.100.8"))).toMatchObject({ status: 401 });
    expect(claimsOf(await session(username)).sub).toMatch(/^user:/);
  });

  it("of one name six times at once makes one user", async () => {
    const username = `twin-${crypto.randomUUID()}`;
    await Promise.all(
      Array.from({ length: 6 }, (_, at) =>
        register(openly(), { username, password }, `198.51.100.${100 + at}`, Date.now()),
      ),
    );
    const { results } = await env.ACCOUNTS.prepare("SELECT id FROM users WHERE name = ?")
      .bind(username)
      .all();
    expect(results).toHaveLength(1);
  });

  it.each([
    ["seven bytes", "seven77"],
    ["1,025 bytes", "x".repeat(1_025)],
  ])("refuses a password of %s", async (_, bad) => {
    const reply = await auth.register({ username: "x".repeat(10), password: bad }, "198.51.100.9");
    expect(problemOf(reply)).toMatchObject({ status: 422, field: "password" });
  });
});

describe("a refresh token", () => {
  it("gives the next of both, in the same session", async () => {
    const first = await session();
    const next = value(await auth.refresh(first.refresh_token));
    expect(next.refresh_token).toMatch(/^[\w-]{43}$/);
    expect(next.refresh_token).not.toBe(first.refresh_token);
    expect(claimsOf(next).sid).toBe(claimsOf(first).sid);
    expect(claimsOf(next).jti).not.toBe(claimsOf(first).jti);
    expect((await enter(next)).subject).toBe(claimsOf(first).sub);
  });

  it("repeated within ten seconds, its answer lost, gives the very same next token", async () => {
    const { refresh_token } = await session();
    const one = value(await auth.refresh(refresh_token));
    advance(9_000);
    const two = value(await auth.refresh(refresh_token));
    expect(two.refresh_token).toBe(one.refresh_token);
    expect(value(await auth.refresh(two.refresh_token!)).token_type).toBe("Bearer");
  });

  it("used twenty times at once has one successor", async () => {
    const { refresh_token } = await session();
    const all = await Promise.all(Array.from({ length: 20 }, () => auth.refresh(refresh_token)));
    expect(new Set(all.map((reply) => value(reply).refresh_token)).size).toBe(1);
  });

  it("used again later ends the whole session, at the doors too", async () => {
    const first = await session();
    const next = value(await auth.refresh(first.refresh_token));
    advance(11_000);
    expect(problemOf(await auth.refresh(first.refresh_token))).toMatchObject({ status: 401 });
    expect(problemOf(await auth.refresh(next.refresh_token!))).toMatchObject({ status: 401 });
    expect((await keys.published()).revoked).toContain(claimsOf(first).sid);
    advance(61_000);
    await expect(enter(next)).rejects.toMatchObject({ problem: { status: 401 } });
  });

  it("used again when its successor was used ends the session, however soon", async () => {
    const { refresh_token } = await session();
    const next = value(await auth.refresh(refresh_token));
    value(await auth.refresh(next.refresh_token!));
    expect(problemOf(await auth.refresh(refresh_token))).toMatchObject({ status: 401 });
    expect(problemOf(await auth.refresh(next.refresh_token!))).toMatchObject({ status: 401 });
  });

  it("is good for fourteen days, a session for ninety", async () => {
    let { refresh_token } = await session();
    for (let days = 0; days < 84; days += 12) {
      advance(12 * 86_400_000);
      const next = value(await auth.refresh(refresh_token));
      ({ refresh_token } = next as { refresh_token: string });
    }
    advance(7 * 86_400_000);
    expect(problemOf(await auth.refresh(refresh_token))).toMatchObject({ status: 401 });
    vi.useRealTimers();
    const idle = await session();
    advance(14 * 86_400_000 + 1_000);
    expect(problemOf(await auth.refresh(idle.refresh_token))).toMatchObject({ status: 401 });
  });

  it("that was made up, or is an access token, is refused", async () => {
    const { access_token } = await session();
    for (const token of ["x", "A".repeat(43), access_token]) {
      expect(problemOf(await auth.refresh(token))).toMatchObject({ status: 401 });
    }
  });
});

describe("logging out", () => {
  it("ends the session: its refresh token at once, its access token at the doors", async () => {
    const granted = await session();
    await enter(granted);
    value(await auth.logOut(granted.refresh_token));
    expect(problemOf(await auth.refresh(granted.refresh_token))).toMatchObject({ status: 401 });
    // Another session of hers is untouched, and a second logout does no harm.
    value(await auth.logOut(granted.refresh_token));
    value(await auth.logOut("unknown"));
    advance(61_000);
    await expect(enter(granted)).rejects.toMatchObject({
      problem: { status: 401, detail: expect.stringMatching(/ended/) as string },
    });
  });

  it("is told to the doors for as long as an access token may live, and not longer", async () => {
    const granted = await session();
    value(await auth.logOut(granted.refresh_token));
    advance(3_600_000);
    expect((await keys.published()).revoked).toContain(claimsOf(granted).sid);
    advance(61_000);
    expect((await keys.published()).revoked).not.toContain(claimsOf(granted).sid);
    await tendSessions(settings(), Date.now());
    const { results } = await env.ACCOUNTS.prepare("SELECT sid FROM revocations WHERE sid = ?")
      .bind(claimsOf(granted).sid)
      .all();
    expect(results).toEqual([]);
  });
});
