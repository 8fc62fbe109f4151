import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { addClient, addSecret, grantToClient } from "../../services/auth/clients.ts";
import { logOut, refreshSession } from "../../services/auth/sessions.ts";
import type { Settings } from "../../services/auth/settings.ts";
import { keyRows, publicKeys, rotateKeys, signingKey } from "../../services/auth/signing-keys.ts";
import { logIn, register } from "../../services/auth/users.ts";
import { freshAddress, freshName, password, session, settings } from "./service.ts";

/** The database of a process that dies at its nth statement: before it is done, or right after. */
function dying(at: number, when: "before" | "after"): Settings & { calls: () => number } {
  let calls = 0;
  const dies = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    calls += 1;
    if (calls < at) return work();
    if (calls === at && when === "after") await work();
    throw new Error("The process died.");
  };
  const originals = new WeakMap<object, D1PreparedStatement>();
  const statement = (original: D1PreparedStatement): D1PreparedStatement => {
    const wrapped = {
      bind: (...values: unknown[]) => statement(original.bind(...values)),
      first: () => dies(() => original.first()),
      all: () => dies(() => original.all()),
      run: () => dies(() => original.run()),
    } as unknown as D1PreparedStatement;
    originals.set(wrapped, original);
    return wrapped;
  };
  const database = {
    prepare: (text: string) => statement(env.ACCOUNTS.prepare(text)),
    batch: (some: D1PreparedStatement[]) =>
      dies(() => env.ACCOUNTS.batch(some.map((one) => originals.get(one)!))),
  } as unknown as D1Database;
  return { ...settings(), database, calls: () => calls };
}

/** Does something that dies at each of its statements in turn, until it comes through. */
async function atEveryStatement(
  once: (broken: Settings) => Promise<unknown>,
  then: (place: string) => Promise<void>,
): Promise<number> {
  for (const when of ["before", "after"] as const) {
    for (let at = 1; ; at += 1) {
      const broken = dying(at, when);
      const hasDied = await once(broken).then(
        () => false,
        (error: Error) => {
          if (error.message !== "The process died.") throw error;
          return true;
        },
      );
      if (!hasDied) {
        if (when === "after") return at - 1;
        break;
      }
      await then(`${when} ${at}`);
    }
  }
  return 0;
}

const now = () => Date.now();

describe("a process that dies at any statement", () => {
  it("of a refresh loses no session: the client repeats, and there is one line of tokens", async () => {
    let { refresh_token } = await session();
    const places = await atEveryStatement(
      (broken) => refreshSession(broken, refresh_token, now()),
      async (place) => {
        const next = await refreshSession(settings(), refresh_token, now());
        expect(next.refresh_token, place).not.toBe(refresh_token);
        refresh_token = next.refresh_token!;
      },
    );
    expect(places).toBeGreaterThanOrEqual(4);
  });

  it("of a registration or a login is answered when it is repeated", async () => {
    let who = { username: freshName(), password };
    await atEveryStatement(
      (broken) => register(broken, who, freshAddress(), now()),
      async () => {
        await register(settings(), who, freshAddress(), now());
        await logIn(settings(), who, freshAddress(), now());
        who = { username: freshName(), password };
      },
    );
    await register(settings(), who, freshAddress(), now());
    const places = await atEveryStatement(
      (broken) => logIn(broken, who, freshAddress(), now()),
      async (place) => {
        const { refresh_token } = await logIn(settings(), who, freshAddress(), now());
        expect(refresh_token, place).toHaveLength(43);
      },
    );
    expect(places).toBeGreaterThanOrEqual(5);
  });

  it("of a logout leaves it to be repeated, and then it holds", async () => {
    let { refresh_token } = await session();
    await atEveryStatement(
      (broken) => logOut(broken, refresh_token, now()),
      async () => {
        await logOut(settings(), refresh_token, now());
        await expect(refreshSession(settings(), refresh_token, now())).rejects.toThrow("no good");
        ({ refresh_token } = await session());
      },
    );
  });

  it("of adding a client makes it whole or not at all", async () => {
    const root = { tenant: "tropical", subject: "root", roles: ["administrator"] };
    const grants = { roles: ["service"], scopes: [], lifetime: 600 };
    let id = `till-${crypto.randomUUID()}`;
    await atEveryStatement(
      (broken) => addClient(broken, root, { id, ...grants }, now()),
      async (place) => {
        const again = await addClient(settings(), root, { id, ...grants }, now()).catch(() => null);
        // Where it was made its secret went with the answer; another one is to be had.
        expect(again === null, place).toBe(place === "after 1");
        const { secret } = again ?? (await addSecret(settings(), "tropical", id, now()));
        await grantToClient(settings(), { id, secret }, now());
        id = `till-${crypto.randomUUID()}`;
      },
    );
  });

  it("of a rotation, by plan or in need, leaves a key that signs and is published", async () => {
    for (const withdraw of [false, true]) {
      await atEveryStatement(
        (broken) => rotateKeys(broken, now(), withdraw),
        async (place) => {
          await keyRows(settings(), now(), true);
          const { kid } = await signingKey(settings(), now());
          const kids = publicKeys(await keyRows(settings(), now()), now()).map((key) => key.kid);
          expect(kids, place).toContain(kid);
        },
      );
    }
  });
});
