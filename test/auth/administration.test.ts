import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { accessToken } from "../../services/auth/access-token.ts";
import { notedDeeds, tendAdministration } from "../../services/auth/administration.ts";
import { addClient, addSecret, removeClient, removeSecret } from "../../services/auth/clients.ts";
import { setRoles } from "../../services/auth/people.ts";
import { hashOf } from "../../services/auth/secret-text.ts";
import { beginSession, endSessionsOf } from "../../services/auth/sessions.ts";
import { keyRows, rotateKeys } from "../../services/auth/signing-keys.ts";
import type { Settings } from "../../services/auth/settings.ts";
import type { NotedDeed } from "../../services/contracts/auth.ts";
import { atEveryStatement } from "./dying.ts";
import { auth, claimsOf, freshName, problemOf, settings, value } from "./service.ts";

const now = () => Date.now();
const freshTenant = () => `audited-${crypto.randomUUID().slice(0, 8)}`;
const freshId = () => `till-${crypto.randomUUID().slice(0, 8)}`;
const grants = { roles: ["service"], scopes: [], lifetime: 600 };

async function administrator(tenant: string) {
  const holder = { subject: "client:root", tenant, roles: ["administrator"], scopes: [] };
  const granted = await accessToken(settings(), { ...holder, sid: crypto.randomUUID() }, now());
  const credential = `token:${claimsOf(granted).jti!}`;
  return { by: `Bearer ${granted.access_token}`, credential };
}

async function person(tenant: string): Promise<{ id: string; name: string; sid: string }> {
  const [id, name] = [crypto.randomUUID(), freshName()];
  await env.ACCOUNTS.prepare(
    "INSERT INTO users (id, name, password, tenant, created_at) VALUES (?, ?, '', ?, 0)",
  )
    .bind(id, name, tenant)
    .run();
  const granted = await beginSession(settings(), id, now());
  return { id, name, sid: claimsOf(granted).sid as string };
}

const deedsIn = (tenant: string, page = {}) => notedDeeds(settings(), tenant, page);
const told = (deeds: NotedDeed[]) => deeds.map(({ what, about }) => [what, about]);

const count = async (query: string, ...values: string[]) =>
  (await env.ACCOUNTS.prepare(query)
    .bind(...values)
    .first<number>("count"))!;

/** Does something new each time, and sees whether it was done, and whether it was noted. */
async function both(
  prepare: (tenant: string) => Promise<{
    act: (broken: Settings) => Promise<unknown>;
    isDone: () => Promise<boolean>;
  }>,
): Promise<void> {
  let tenant = "";
  let noted = 0;
  let isDone: () => Promise<boolean>;
  const seen = new Set<boolean>();
  await atEveryStatement(
    async (broken) => {
      tenant = freshTenant();
      const deed = await prepare(tenant);
      ({ isDone } = deed);
      noted = (await deedsIn(tenant)).length;
      await deed.act(broken);
    },
    async (place) => {
      const is = await isDone();
      seen.add(is);
      expect((await deedsIn(tenant)).length - noted, place).toBe(is ? 1 : 0);
    },
  );
  expect(seen).toEqual(new Set([true, false]));
}
const callerOf = (tenant: string) => ({ tenant, subject: "root", roles: ["administrator"] });

describe("what administrators do", () => {
  it("is noted with who did it and to whom, for administrators of the tenant, and without any secret", async () => {
    const tenant = freshTenant();
    const { by, credential } = await administrator(tenant);
    const { id: user, name: username, sid: session } = await person(tenant);
    const client = freshId();
    const first = value(await auth.addClient(by, { id: client, ...grants }));
    const second = value(await auth.addSecret(by, client));
    value(await auth.removeSecret(by, client, first.name));
    value(await auth.removeClient(by, client));
    value(await auth.setRoles(by, username, ["operator"]));
    value(await auth.revoke(by, { session }));
    value(await auth.revoke(by, { username }));
    const entries = value(await auth.deeds(by, {}));
    const subject = `user:${user}`;
    expect(told(entries)).toEqual([
      ["client.added", { client, ...grants, secret: first.name }],
      ["secret.added", { client, secret: second.name }],
      ["secret.removed", { client, secret: first.name }],
      ["client.removed", { client }],
      ["roles.set", { subject, username, roles: ["operator"] }],
      ["sessions.ended", { session }],
      ["sessions.ended", { subject }],
    ]);
    for (const entry of entries) {
      expect(entry).toMatchObject({ subject: "client:root", credential });
      expect(Date.parse(entry.time)).toBeLessThanOrEqual(now());
    }
    const all = JSON.stringify(entries);
    for (const { secret } of [first, second]) {
      expect(all).not.toContain(secret);
      expect(all).not.toContain(hashOf(secret));
    }
    const other = await administrator(freshTenant());
    expect(value(await auth.deeds(other.by, {}))).toEqual([]);
    const [, next] = entries;
    const page = { after: String(entries[0]!.position), limit: "1" };
    expect(value(await auth.deeds(by, page))).toEqual([next]);
    for (const bad of [{ limit: "0" }, { limit: "1001" }, { after: "-1" }, { x: "" }]) {
      expect(problemOf(await auth.deeds(by, bad))).toMatchObject({ status: 422 });
    }
  });

  it("and what comes to nothing is not noted", async () => {
    const tenant = freshTenant();
    const { by } = await administrator(tenant);
    const { name } = await person("another");
    const { name: own } = await person(tenant);
    const client = freshId();
    value(await auth.addClient((await administrator("another")).by, { id: client, ...grants }));
    await auth.addClient(by, { id: client, ...grants });
    await auth.addSecret(by, client);
    await auth.removeSecret(by, client, "x");
    await auth.removeClient(by, client);
    await auth.setRoles(by, name, []);
    await auth.revoke(by, { username: name });
    value(await auth.setRoles(by, own, ["customer"]));
    expect(await deedsIn(tenant)).toEqual([]);
  });

  it("is known for 400 days", async () => {
    const tenant = freshTenant();
    const { by } = await administrator(tenant);
    value(await auth.addClient(by, { id: freshId(), ...grants }));
    const day = 24 * 3_600_000;
    await tendAdministration(settings(), now() + 399 * day);
    expect(await deedsIn(tenant)).toHaveLength(1);
    await tendAdministration(settings(), now() + 401 * day);
    expect(await deedsIn(tenant)).toEqual([]);
  });
});

describe("a process that dies at any statement", () => {
  it("of administration has both done and noted it, or neither", async () => {
    const secrets = "SELECT count(*) AS count FROM client_secrets WHERE client = ?";
    const client = async (tenant: string) => {
      const by = callerOf(tenant);
      return { by, ...(await addClient(settings(), by, { id: freshId(), ...grants }, now())) };
    };
    await both(async (tenant) => {
      const id = freshId();
      return {
        act: (broken) => addClient(broken, callerOf(tenant), { id, ...grants }, now()),
        isDone: async () => (await count(secrets, id)) === 1,
      };
    });
    await both(async (tenant) => {
      const { by, id } = await client(tenant);
      return {
        act: (broken) => addSecret(broken, by, id, now()),
        isDone: async () => (await count(secrets, id)) === 2,
      };
    });
    await both(async (tenant) => {
      const { by, id, name } = await client(tenant);
      return {
        act: (broken) => removeSecret(broken, by, id, name, now()),
        isDone: async () => (await count(secrets, id)) === 0,
      };
    });
    await both(async (tenant) => {
      const { by, id } = await client(tenant);
      return {
        act: (broken) => removeClient(broken, by, id, now()),
        isDone: async () => (await count(secrets, id)) === 0,
      };
    });
    await both(async (tenant) => {
      const { id, name } = await person(tenant);
      const changed = `SELECT count(*) AS count FROM users WHERE id = ? AND roles = '["x"]'`;
      return {
        act: (broken) => setRoles(broken, callerOf(tenant), name, ["x"], now()),
        isDone: async () => (await count(changed, id)) === 1,
      };
    });
    await both(async (tenant) => {
      const { id, sid } = await person(tenant);
      const ended = "SELECT count(*) AS count FROM revocations WHERE sid = ?";
      return {
        act: (broken) => endSessionsOf(broken, id, "ended", now(), callerOf(tenant)),
        isDone: async () => (await count(ended, sid)) === 1,
      };
    });
  });
});

// Last of all: no token of before is good any more.
describe("what administrators do", () => {
  it("to the keys is noted where it is done, not where the next one waits already, nor by cron", async () => {
    const { by } = await administrator("tropical");
    const before = (await deedsIn("tropical")).length;
    const { kid: key } = value(await auth.rotateKeys(by, false));
    value(await auth.rotateKeys(by, false));
    value(await auth.rotateKeys(by, true));
    // Whoever else has the key makes nothing by it that would outlive it.
    expect(problemOf(await auth.admit(by))).toMatchObject({ status: 401 });
    await rotateKeys(settings(), now());
    expect(told((await deedsIn("tropical")).slice(before))).toEqual([
      ["keys.rotated", { key }],
      ["keys.withdrawn", {}],
    ]);
  });

  it("to the keys is done and noted, or neither, where the process dies", async () => {
    await both(async (tenant) => {
      const keys = (await keyRows(settings(), now(), true)).length;
      return {
        act: (broken) => rotateKeys(broken, now(), true, callerOf(tenant)),
        isDone: async () => (await keyRows(settings(), now(), true)).length > keys,
      };
    });
  });
});
