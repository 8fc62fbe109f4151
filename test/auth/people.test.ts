import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { accessToken } from "../../services/auth/access-token.ts";
import { findPerson, setRoles } from "../../services/auth/people.ts";
import { beginSession } from "../../services/auth/sessions.ts";
import { register } from "../../services/auth/users.ts";
import { authenticateHeader } from "../../src/ingress/token.ts";
import { atEveryStatement } from "./dying.ts";
import {
  auth,
  claimsOf,
  doorSettings,
  freshAddress,
  freshName,
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

const root = { tenant: "tropical", subject: "client:root", roles: ["administrator"] };
const now = () => Date.now();
const bearer = async (subject: string) => {
  const holder = { ...root, subject, sid: crypto.randomUUID(), scopes: [] };
  return `Bearer ${(await accessToken(settings(), holder, now())).access_token}`;
};

/** Somebody who is there, though nobody knows her password. */
async function person(...roles: string[]): Promise<{ id: string; name: string }> {
  const [id, name] = [crypto.randomUUID(), freshName()];
  await env.ACCOUNTS.prepare(
    "INSERT INTO users (id, name, password, tenant, created_at, roles) VALUES (?, ?, '', 'tropical', 0, ?)",
  )
    .bind(id, name, JSON.stringify(roles))
    .run();
  return { id, name };
}

describe("the roles of somebody", () => {
  it("are an administrator's to give: her sessions go on, and her next tokens carry them", async () => {
    const by = await bearer("client:root");
    const username = await user();
    const first = await session(username);
    const { sub: subject } = claimsOf(first);
    expect(value(await auth.findPerson(by, username.toUpperCase()))).toEqual({
      ...{ username, subject, roles: ["customer"] },
      createdAt: expect.stringMatching(/^20\d\d-.*Z$/) as string,
    });
    const roles = ["customer", "service"];
    const given = value(await auth.setRoles(by, username, [...roles, "service"]));
    expect(given).toMatchObject({ username, subject, roles });
    const next = value(await auth.refresh(first.refresh_token));
    expect(claimsOf(next)).toMatchObject({ roles, sid: claimsOf(first).sid });
    expect(claimsOf(await session(username))["roles"]).toEqual(roles);
  });

  it("that are taken away end her sessions: within a minute no door lets her in by them", async () => {
    const by = await bearer("client:root");
    const { id, name } = await person("customer", "operator");
    const granted = await beginSession(settings(), id, now());
    const enter = () => authenticateHeader(`Bearer ${granted.access_token}`, doorSettings());
    expect((await enter()).roles).toEqual(["customer", "operator"]);
    value(await auth.setRoles(by, name, ["customer"]));
    expect(problemOf(await auth.refresh(granted.refresh_token!))).toMatchObject({ status: 401 });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(now() + 61_000);
    await expect(enter()).rejects.toMatchObject({ problem: { status: 401 } });
    expect(claimsOf(await beginSession(settings(), id, now()))["roles"]).toEqual(["customer"]);
  });

  it("count for a login that is under way, whichever comes first", async () => {
    for (const isFirst of [true, false]) {
      const { id, name } = await person("customer", "operator");
      const database = {
        prepare: (text: string) => env.ACCOUNTS.prepare(text),
        batch: async (some: D1PreparedStatement[]) => {
          if (isFirst) await setRoles(settings(), root, name, ["customer"], now());
          const results = await env.ACCOUNTS.batch(some);
          if (!isFirst) await setRoles(settings(), root, name, ["customer"], now());
          return results;
        },
      } as unknown as D1Database;
      const claims = claimsOf(await beginSession({ ...settings(), database }, id, now()));
      const isEnded = (await keys.published()).revoked?.includes(claims.sid as string);
      expect([claims["roles"], isEnded]).toEqual(
        isFirst ? [["customer"], false] : [["customer", "operator"], true],
      );
    }
  });

  it("don't cease to be an administrator's by her own hand, only by another's", async () => {
    const { id, name } = await person("administrator");
    const by = await bearer(`user:${id}`);
    expect(problemOf(await auth.setRoles(by, name, ["customer"]))).toMatchObject({ status: 409 });
    const both = ["administrator", "customer"];
    expect(value(await auth.setRoles(by, name, both)).roles).toEqual(both);
    const { name: other } = await person("administrator");
    expect(value(await auth.setRoles(by, other, [])).roles).toEqual([]);
  });

  it("once taken from an administrator are hers to give back to herself at no time, by no token that she has", async () => {
    const { id, name } = await person("administrator");
    const { access_token } = await beginSession(settings(), id, now());
    const by = `Bearer ${access_token}`;
    // Whoever asks has the keys and the ended sessions as they were just now.
    value(await auth.admit(by));
    value(await auth.setRoles(await bearer("client:root"), name, []));
    const till = { id: `till-${id}`, roles: ["administrator"], scopes: [], lifetime: 600 };
    expect(problemOf(await auth.setRoles(by, name, ["administrator"]))).toMatchObject({
      status: 401,
    });
    expect(problemOf(await auth.addClient(by, till))).toMatchObject({ status: 401 });
    expect((await findPerson(settings(), "tropical", name)).roles).toEqual([]);
  });

  it("are found by the name that is shown, however it was typed", async () => {
    const by = await bearer("client:root");
    // Lower case has a letter of its own for what upper case composes.
    const typed = `J\u030C${freshName()}`;
    await register(openly(), { username: typed, password }, freshAddress(), now());
    const { username, subject } = value(await auth.findPerson(by, typed));
    expect(value(await auth.findPerson(by, username)).subject).toBe(subject);
    expect(value(await auth.findPerson(by, username.normalize("NFC"))).subject).toBe(subject);
  });

  it("are nobody's who isn't there", async () => {
    const by = await bearer("client:root");
    for (const name of ["nobody-at-all", "x", "a b", "", "\0"]) {
      expect(problemOf(await auth.findPerson(by, name))).toMatchObject({ status: 404 });
      expect(problemOf(await auth.setRoles(by, name, []))).toMatchObject({ status: 404 });
    }
  });

  it("are never changed without her sessions' end, where the process dies", async () => {
    let { id, name } = await person("customer", "operator");
    let { refresh_token } = await beginSession(settings(), id, now());
    const places = await atEveryStatement(
      (broken) => setRoles(broken, root, name, ["customer"], now()),
      async (place) => {
        const { roles } = await findPerson(settings(), "tropical", name);
        const refreshed = await auth.refresh(refresh_token!);
        expect(refreshed.ok, place).toBe(roles.length === 2);
        if (refreshed.ok) ({ refresh_token } = refreshed.value);
        await setRoles(settings(), root, name, ["customer"], now());
        const again = refreshed.ok ? refreshed.value.refresh_token! : refresh_token!;
        expect(problemOf(await auth.refresh(again)), place).toMatchObject({ status: 401 });
        ({ id, name } = await person("customer", "operator"));
        ({ refresh_token } = await beginSession(settings(), id, now()));
      },
    );
    expect(places).toBe(2);
  });
});
