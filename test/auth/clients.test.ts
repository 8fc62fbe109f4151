import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { accessToken } from "../../services/auth/access-token.ts";
import {
  addClient,
  grantToClient,
  removeClient,
  removeSecret,
  sessionOfClient,
} from "../../services/auth/clients.ts";
import { hashOf } from "../../services/auth/secret-text.ts";
import { settingsOf, type Settings } from "../../services/auth/settings.ts";
import { authenticateHeader } from "../../src/ingress/token.ts";
import {
  auth,
  authEnv,
  claimsOf,
  doorSettings,
  keys,
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

const bearer = async (roles: string[], tenant = "tropical") => {
  const holder = { subject: "client:root", sid: crypto.randomUUID(), tenant, roles, scopes: [] };
  return `Bearer ${(await accessToken(settings(), holder, Date.now())).access_token}`;
};
const administrator = (tenant?: string) => bearer(["administrator"], tenant);
const freshId = () => `till-${crypto.randomUUID().slice(0, 8)}`;
const grants = { roles: ["service"], scopes: ["dead-letters", "reports"], lifetime: 900 };

describe("a client", () => {
  it("made by an administrator gets tokens of her tenant, with its own roles and scopes", async () => {
    const id = freshId();
    const made = value(await auth.addClient(await administrator("elsewhere"), { id, ...grants }));
    expect(made).toMatchObject({ id, tenant: "elsewhere", ...grants });
    const granted = value(await auth.grantToClient({ id, secret: made.secret }));
    expect(granted).toMatchObject({ expires_in: 900, scope: "dead-letters reports" });
    expect(granted).not.toHaveProperty("refresh_token");
    expect(claimsOf(granted)).toMatchObject({
      ...{ sub: `client:${id}`, tenant: "elsewhere", roles: ["service"] },
    });
    const less = await auth.grantToClient({ id, secret: made.secret, scope: "reports" });
    expect(claimsOf(value(less))["scope"]).toBe("reports");
    const none = await auth.grantToClient({ id, secret: made.secret, scope: "" });
    expect(claimsOf(value(none))).not.toHaveProperty("scope");
  });

  it("never gets more than it has", async () => {
    const id = freshId();
    const { secret } = value(await auth.addClient(await administrator(), { id, ...grants }));
    const more = await auth.grantToClient({ id, secret, scope: "reports operators" });
    expect(problemOf(more)).toMatchObject({ status: 403 });
  });

  it("with another secret, or unknown, is refused alike", async () => {
    const id = freshId();
    value(await auth.addClient(await administrator(), { id, ...grants }));
    const wrong = await auth.grantToClient({ id, secret: "A".repeat(43) });
    expect(problemOf(wrong)).toMatchObject({ status: 401 });
    expect(await auth.grantToClient({ id: "nobody", secret: "A".repeat(43) })).toEqual(wrong);
    expect(await auth.grantToClient({ id: "nobody", secret: "" })).toEqual(wrong);
  });

  it("changes its secret without a gap", async () => {
    const id = freshId();
    const root = await administrator();
    const first = value(await auth.addClient(root, { id, ...grants }));
    const second = value(await auth.addSecret(root, id));
    value(await auth.grantToClient({ id, secret: first.secret }));
    value(await auth.removeSecret(root, id, first.name));
    value(await auth.grantToClient({ id, secret: second.secret }));
    const old = await auth.grantToClient({ id, secret: first.secret });
    expect(problemOf(old)).toMatchObject({ status: 401 });
    for (let more = 0; more < 4; more += 1) value(await auth.addSecret(root, id));
    expect(problemOf(await auth.addSecret(root, id))).toMatchObject({ status: 409 });
    expect(problemOf(await auth.removeSecret(root, id, "unknown"))).toMatchObject({ status: 404 });
  });

  it("that is removed gets no token, and those that it has are refused within a minute", async () => {
    const id = freshId();
    const root = await administrator();
    const { secret } = value(await auth.addClient(root, { id, ...grants }));
    const granted = value(await auth.grantToClient({ id, secret }));
    const enter = () => authenticateHeader(`Bearer ${granted.access_token}`, doorSettings());
    await enter();
    value(await auth.removeClient(root, id));
    expect(problemOf(await auth.grantToClient({ id, secret }))).toMatchObject({ status: 401 });
    advance(61_000);
    await expect(enter()).rejects.toMatchObject({ problem: { status: 401 } });
  });

  it("of another tenant, made by the id of one that is being removed, keeps its secrets", async () => {
    const callerOf = (tenant: string) => ({ tenant, subject: "root", roles: ["administrator"] });
    const [one, other] = [callerOf("one"), callerOf("other")];
    for (const act of [
      (raced: Settings, id: string) => removeClient(raced, one, id, Date.now()),
      (raced: Settings, id: string, name: string) => removeSecret(raced, one, id, name, Date.now()),
    ]) {
      const id = freshId();
      await addClient(settings(), one, { id, ...grants }, Date.now());
      let made: Awaited<ReturnType<typeof addClient>> | undefined;
      const database = {
        prepare: (text: string) => env.ACCOUNTS.prepare(text),
        batch: async (some: D1PreparedStatement[]) => {
          await removeClient(settings(), one, id, Date.now());
          made = await addClient(settings(), other, { id, ...grants }, Date.now());
          // That both have a secret of one name is not likely, and yet.
          await env.ACCOUNTS.prepare("UPDATE client_secrets SET hash = ? WHERE client = ?")
            .bind(hashOf("theirs"), id)
            .run();
          return env.ACCOUNTS.batch(some);
        },
      } as unknown as D1Database;
      await act({ ...settings(), database }, id, hashOf("theirs").slice(0, 8)).catch(() => {});
      expect(made).toBeDefined();
      expect((await auth.grantToClient({ id, secret: "theirs" })).ok).toBe(true);
    }
  });

  it("whose tokens were ended gets others, which are let in; another tenant's administrator ends none", async () => {
    const id = freshId();
    const [root, theirs] = [await administrator(), await administrator("elsewhere")];
    const { secret } = value(await auth.addClient(root, { id, ...grants }));
    const subject = `client:${id}`;
    const before = claimsOf(value(await auth.grantToClient({ id, secret })))["sid"];
    expect(problemOf(await auth.revoke(theirs, { subject }))).toMatchObject({ status: 404 });
    expect(value(await auth.revoke(root, { subject }))).toEqual({ ended: 1 });
    const after = value(await auth.grantToClient({ id, secret }));
    const { revoked } = await keys.published();
    expect(revoked).toContain(before);
    expect(revoked).not.toContain(claimsOf(after)["sid"]);
    advance(61_000);
    await authenticateHeader(`Bearer ${after.access_token}`, doorSettings());
  });

  it("is removed, though its tokens are ended at the same time", async () => {
    const id = freshId();
    const by = { tenant: "tropical", subject: "root", roles: ["administrator"] };
    const { secret } = await addClient(settings(), by, { id, ...grants }, Date.now());
    let isEnded = false;
    const database = {
      prepare: (text: string) => env.ACCOUNTS.prepare(text),
      batch: async (some: D1PreparedStatement[]) => {
        const subject = `client:${id}`;
        if (!isEnded) value(await auth.revoke(await administrator(), { subject }));
        isEnded = true;
        return env.ACCOUNTS.batch(some);
      },
    } as unknown as D1Database;
    await removeClient({ ...settings(), database }, by, id, Date.now());
    expect(problemOf(await auth.grantToClient({ id, secret }))).toMatchObject({ status: 401 });
  });

  it("of AUTH_CLIENTS is there from the beginning; its id can't be taken", async () => {
    const secret = "the bootstrap secret";
    const AUTH_CLIENTS = JSON.stringify([
      { id: "first", tenant: "tropical", roles: ["administrator"], secretHashes: [hashOf(secret)] },
    ]);
    const with_ = settings({ AUTH_CLIENTS });
    const granted = await grantToClient(with_, { id: "first", secret }, Date.now());
    expect(claimsOf(granted)).toMatchObject({ sub: "client:first", roles: ["administrator"] });
    await expect(
      grantToClient(with_, { id: "first", secret: "wrong" }, Date.now()),
    ).rejects.toMatchObject({ problem: { status: 401 } });
    // Each of its tokens can be ended by its tenant's administrators, and by no other's.
    const session = claimsOf(granted)["sid"] as string;
    const theirs = await auth.revoke(await administrator("elsewhere"), { session });
    expect(problemOf(theirs)).toMatchObject({ status: 404 });
    expect(value(await auth.revoke(await administrator(), { session }))).toEqual({ ended: 1 });
    expect((await keys.published()).revoked).toContain(session);
    await expect(sessionOfClient(with_, "tropical", "first")).rejects.toMatchObject({
      problem: { status: 409 },
    });
  });
});

describe("administration", () => {
  const calls: [string, (authorization: string | null) => Promise<unknown>][] = [
    ["rotating keys", (by) => auth.rotateKeys(by, false)],
    ["revoking", (by) => auth.revoke(by, { username: "carla" })],
    ["listing clients", (by) => auth.listClients(by)],
    ["adding a client", (by) => auth.addClient(by, { id: freshId(), ...grants })],
    ["removing a client", (by) => auth.removeClient(by, "x")],
    ["looking at what was done", (by) => auth.deeds(by, {})],
    ["looking at a user", (by) => auth.findPerson(by, "carla")],
    ["giving roles", (by) => auth.setRoles(by, "carla", [])],
    ["adding a secret", (by) => auth.addSecret(by, "x")],
    ["removing a secret", (by) => auth.removeSecret(by, "x", "y")],
  ];

  it.each(calls)("%s is for administrators alone", async (_, call) => {
    expect(await call(null)).toMatchObject({ ok: false, problem: { status: 401 } });
    expect(await call("Bearer x.y.z")).toMatchObject({ ok: false, problem: { status: 401 } });
    const operator = await bearer(["operator", "service", "customer"]);
    expect(await call(operator)).toMatchObject({ ok: false, problem: { status: 403 } });
  });

  it("ends at the tenant", async () => {
    const [ours, theirs] = [await administrator(), await administrator("elsewhere")];
    const id = freshId();
    value(await auth.addClient(ours, { id, ...grants }));
    expect(value(await auth.listClients(theirs)).some((one) => one.id === id)).toBe(false);
    expect(value(await auth.listClients(ours)).some((one) => one.id === id)).toBe(true);
    const username = await user();
    const sid = claimsOf(await session(username)).sid as string;
    const foreign = [
      ...[await auth.removeClient(theirs, id), await auth.addSecret(theirs, id)],
      ...[await auth.removeSecret(theirs, id, "x"), await auth.revoke(theirs, { username })],
      await auth.revoke(theirs, { session: sid }),
      ...[await auth.findPerson(theirs, username), await auth.setRoles(theirs, username, [])],
    ];
    for (const reply of foreign) expect(problemOf(reply)).toMatchObject({ status: 404 });
    expect(problemOf(await auth.rotateKeys(theirs, false))).toMatchObject({ status: 403 });
    const taken = await auth.addClient(theirs, { id, ...grants });
    expect(problemOf(taken)).toMatchObject({ status: 409 });
  });

  it("ends all sessions of a user, by name or subject, or one of them", async () => {
    const username = await user();
    const root = await administrator();
    const sessions = [await session(username), await session(username), await session(username)];
    const sids = sessions.map((one) => claimsOf(one).sid as string);
    expect(value(await auth.revoke(root, { session: sids[0]! }))).toEqual({ ended: 1 });
    expect(problemOf(await auth.refresh(sessions[0]!.refresh_token))).toMatchObject({
      status: 401,
    });
    const subject = claimsOf(sessions[0]!).sub!;
    expect(value(await auth.revoke(root, { subject }))).toEqual({ ended: 2 });
    expect(value(await auth.revoke(root, { username }))).toEqual({ ended: 0 });
    const { revoked } = await keys.published();
    expect(revoked).toEqual(expect.arrayContaining(sids));
    for (const { refresh_token } of sessions) {
      expect(problemOf(await auth.refresh(refresh_token))).toMatchObject({ status: 401 });
    }
    // She may log in again.
    await session(username);
  });
});

describe("the database", () => {
  it("has no password, token, secret or private key in plain, in any column of any row", async () => {
    const root = await administrator();
    const username = await user();
    const granted = await session(username);
    const next = value(await auth.refresh(granted.refresh_token));
    const id = freshId();
    const { secret } = value(await auth.addClient(root, { id, ...grants }));
    const { access_token } = value(await auth.grantToClient({ id, secret }));
    const tables = await env.ACCOUNTS.prepare(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
    ).all<{ name: string }>();
    let all = "";
    for (const { name } of tables.results.filter((table) => !table.name.startsWith("sqlite"))) {
      all += JSON.stringify((await env.ACCOUNTS.prepare(`SELECT * FROM ${name}`).all()).results);
    }
    // It is the right database, and the search would find something.
    expect(all).toContain(username);
    expect(all).toContain(hashOf(secret));
    const canaries = {
      ...{ password, secret, access: access_token, other: granted.access_token },
      ...{ refresh: granted.refresh_token, next: next.refresh_token!, root: env.AUTH_SECRET },
    };
    for (const [what, text] of Object.entries(canaries)) {
      for (const form of [text, btoa(text), Buffer.from(text).toString("hex")]) {
        expect(all.includes(form), what).toBe(false);
      }
    }
    expect(all).not.toMatch(/\\?"d\\?":/);
  });
});

describe("settings", () => {
  it.each([
    ["AUTH_SECRET", undefined],
    ["AUTH_SECRET", "too short"],
    ["AUTH_TENANT", undefined],
    ["AUTH_TENANT", "a/b"],
    ["AUTH_CLIENTS", "no json"],
    ["AUTH_CLIENTS", `[{"id":"x","tenant":"t","roles":[],"secretHashes":["plain-secret"]}]`],
    ["AUTH_REGISTRATION", "closed"],
    ["TOKEN_ISSUER", undefined],
    ["TOKEN_AUDIENCE", ""],
  ])("%s = %j: nobody gets a token, and the setting is named", (name, set) => {
    const act = () => settingsOf({ ...authEnv(), [name]: set });
    expect(act).toThrow(new RegExp(name));
    expect(act).not.toThrow(/plain-secret/);
  });
});
