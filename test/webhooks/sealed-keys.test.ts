import { evictDurableObject } from "cloudflare:test";
import { randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { EndpointWithSecret } from "../../src/contract/webhooks.ts";
import { call, operator, setTime } from "../support/client.ts";
import { remoteSink } from "../support/remote-sink.ts";
import { secretsKeys } from "../support/secrets-keys.ts";
import {
  deliveries,
  objectOf,
  query,
  receive,
  register,
  ring,
  stranger,
} from "../support/webhooks.ts";

const [k1, k2] = [randomBytes(32).toString("base64"), randomBytes(32).toString("base64")];
const only = { first: { current: "k1", keys: { k1 } }, second: { current: "k2", keys: { k2 } } };
const both = { current: "k2", keys: { k1, k2 } };

const have = (keys: object | undefined): void => {
  secretsKeys.setting = keys === undefined ? undefined : JSON.stringify(keys);
};

beforeEach(() => have(only.first));

afterEach(() => {
  secretsKeys.setting = null;
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const stored = async (as: Caller) =>
  (await query(as, "SELECT secret FROM secrets ORDER BY position")).map(({ secret }) => secret);
const rotate = (as: Caller, id: string) =>
  call<EndpointWithSecret>("POST", `/webhooks/${id}/rotate`, { as });
/** As it was written before there were seals. */
const unseal = (as: Caller, { id, secret }: EndpointWithSecret) =>
  query(as, "UPDATE secrets SET secret = ? WHERE endpoint = ?", secret, id);

/** Something happens: it comes, signed by each of the keys. */
async function isSignedBy(as: Caller, path: string, secrets: readonly string[]): Promise<void> {
  const before = (await remoteSink.at(path)).length;
  await receive(as, "orders/o-1");
  await expect.poll(async () => (await remoteSink.at(path)).length).toBe(before + 1);
  const { headers, body } = (await remoteSink.at(path)).at(-1)!;
  for (const secret of secrets) {
    expect(() => new Webhook(secret).verify(body, headers)).not.toThrow();
  }
  expect(headers["webhook-signature"]!.split(" ")).toHaveLength(secrets.length);
}

describe("the keys of endpoints", () => {
  it("are sealed from the beginning, and sign", async () => {
    const as = stranger();
    const { id, path, secret } = await register(as);
    const { body } = await rotate(as, id);
    expect(await stored(as)).toEqual(Array(2).fill(expect.stringMatching(/^sealed\.1\.k1\./)));
    await isSignedBy(as, path, [secret, body.secret]);
  });

  it("that were written before there were seals sign, and are sealed when the object wakes", async () => {
    const as = stranger();
    const endpoint = await register(as);
    await unseal(as, endpoint);
    await isSignedBy(as, endpoint.path, [endpoint.secret]);
    expect(await stored(as)).toEqual([endpoint.secret]);
    await evictDurableObject(objectOf(as));
    expect(await stored(as)).toEqual([expect.stringMatching(/^sealed\.1\.k1\./)]);
    await isSignedBy(as, endpoint.path, [endpoint.secret]);
  });

  it("are wrapped by the new key where they are woken, after which the old one may go", async () => {
    const as = stranger();
    const { path, secret } = await register(as);
    have(both);
    const body = { kind: "webhooks", objects: [{ id: objectOf(as).id.toString() }] };
    const administrator = { ...operator, roles: ["administrator"] };
    const woken = await call("POST", "/operations/reindex", { as: administrator, body });
    expect(woken.body).toEqual({ woken: 1, failed: [] });
    expect(await stored(as)).toEqual([expect.stringMatching(/^sealed\.1\.k2\./)]);
    have(only.second);
    await evictDurableObject(objectOf(as));
    await isSignedBy(as, path, [secret]);
    // What is to be told is that not all are.
    have({ current: "k3", keys: { k3: k1 } });
    expect((await call("POST", "/operations/reindex", { as: administrator, body })).body).toEqual({
      woken: 0,
      failed: [{ id: body.objects[0]!.id, error: expect.stringContaining('"k2"') as string }],
    });
  });

  it("can't be made without SECRETS_KEYS; those that are sealed wait for it, the others sign", async () => {
    setTime(1_800_000_000_000);
    vi.spyOn(console, "error").mockReturnValue();
    const as = stranger();
    const [plain, sealed] = [await register(as, ["order.*"]), await register(as)];
    await unseal(as, plain);
    have(undefined);
    await evictDurableObject(objectOf(as));
    for (const [path, body] of [
      ["/webhooks", { url: "https://example.com/" }],
      [`/webhooks/${plain.id}/rotate`, {}],
    ] as const) {
      expect(await call("POST", path, { as, body })).toMatchObject({
        status: 503,
        body: { type: "urn:durachart:problem:not-configured" },
      });
    }
    expect(await stored(as)).toHaveLength(2);
    await isSignedBy(as, plain.path, [plain.secret]);
    const waiting = async () => (await deliveries(as, sealed.id)).waiting;
    await expect
      .poll(waiting)
      .toMatchObject([
        { status: "waiting", error: expect.stringContaining("SECRETS_KEYS") as string },
      ]);
    expect(await remoteSink.at(sealed.path)).toEqual([]);
    have(only.first);
    setTime(Date.parse((await waiting())[0]!.nextTryAt!));
    await ring(as);
    await expect.poll(async () => (await remoteSink.at(sealed.path)).length).toBe(1);
  });

  it("sign for no other endpoint, though somebody moves them there", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const as = stranger();
    const [mine, other] = [await register(as), await register(as)];
    await query(
      as,
      "UPDATE secrets SET secret = (SELECT secret FROM secrets WHERE endpoint = ?) WHERE endpoint = ?",
      ...[mine.id, other.id],
    );
    await receive(as, "orders/o-1");
    await expect
      .poll(async () => (await deliveries(as, other.id)).waiting)
      .toMatchObject([{ error: expect.stringContaining("sealed for something else") as string }]);
    expect(await remoteSink.at(other.path)).toEqual([]);
  });
});
