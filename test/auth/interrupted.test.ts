import { describe, expect, it } from "vitest";
import { addClient, addSecret, grantToClient } from "../../services/auth/clients.ts";
import { COST } from "../../services/auth/passwords.ts";
import { logOut, refreshSession } from "../../services/auth/sessions.ts";
import { keyRows, publicKeys, rotateKeys, signingKey } from "../../services/auth/signing-keys.ts";
import { logIn, register } from "../../services/auth/users.ts";
import { freshAddress, freshName, openly, password, session, settings } from "./service.ts";
import { atEveryStatement } from "./dying.ts";

// What a password costs is looked at elsewhere.
COST.log2N = 10;
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
    const open = { registration: "open" as const };
    let who = { username: freshName(), password };
    await atEveryStatement(
      (broken) => register({ ...broken, ...open }, who, freshAddress(), now()),
      async () => {
        await register(openly(), who, freshAddress(), now());
        await logIn(settings(), who, freshAddress(), now());
        who = { username: freshName(), password };
      },
    );
    await register(openly(), who, freshAddress(), now());
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
        const { secret } = again ?? (await addSecret(settings(), root, id, now()));
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
