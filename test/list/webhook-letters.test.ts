import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { WebhooksCalls } from "../../src/contract/webhooks.ts";
import type { Letter, ListedLetter } from "../../src/dead-letters/letters.ts";
import { call, setTime } from "../support/client.ts";
import { alarmOf, objectOf, query, receive, ring, stranger } from "../support/webhooks.ts";

const began = 1_800_000_000_000;
const hour = 3_600_000;
const day = 24 * hour;

beforeEach(() => {
  setTime(began);
  vi.spyOn(console, "error").mockReturnValue();
  vi.spyOn(globalThis, "fetch").mockImplementation(() =>
    Promise.resolve(new Response("broken", { status: 500 })),
  );
});

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await env.LIST.exec("DROP TRIGGER IF EXISTS down");
});

/** An endpoint of a tenant of its own, to which nothing comes. */
async function register(as: Caller): Promise<string> {
  const body = { url: "https://receiver.example/" };
  return (await call<{ id: string }>("POST", "/webhooks", { as, body })).body.id;
}

const undertaker = ({ tenant }: Caller): Caller => ({
  ...{ tenant, subject: "ursula", roles: [], scopes: ["dead-letters"] },
});
const letters = async (as: Caller): Promise<ListedLetter[]> =>
  (await call<{ letters: ListedLetter[] }>("GET", "/dead-letters", { as: undertaker(as) })).body
    .letters;
const unfiled = (as: Caller) => query(as, "SELECT * FROM unfiled");

const settled = () => new Promise((resolve) => setTimeout(resolve, 30));

/** Lets what waits be tried for the last time. */
async function die(as: Caller, at: number): Promise<void> {
  setTime(at);
  await ring(as);
  await expect
    .poll(() => query(as, "SELECT 1 FROM deliveries WHERE state = 'waiting'"))
    .toEqual([]);
}

describe("a delivery that is parked", () => {
  it("is filed with its event, where it died and how", async () => {
    const as = stranger();
    const endpoint = await register(as);
    await receive(as, "orders/o-1", "e1");
    await settled();
    await die(as, began + day);
    await expect.poll(() => letters(as)).toHaveLength(1);
    const [{ id }] = (await letters(as)) as [ListedLetter];
    const { body } = await call<Letter>("GET", `/dead-letters/${id}`, { as: undertaker(as) });
    expect(body).toMatchObject({
      ...{ origin: `webhook:${endpoint}`, status: "dead", subject: "orders/o-1", attempts: 2 },
      reason: { detail: "Tried for 24 hours. The endpoint answered 500: broken", status: 504 },
      body: { tenant: as.tenant, event: { id: "e1", type: "order.baked" } },
    });
    expect(await unfiled(as)).toEqual([]);
  });

  it("is filed in the end where the database is down for long, also over a crash", async () => {
    const as = stranger();
    await register(as);
    await env.LIST.exec(
      "CREATE TRIGGER down BEFORE INSERT ON dead_letters BEGIN SELECT RAISE(ABORT, 'down'); END",
    );
    vi.spyOn(Math, "random").mockReturnValue(1);
    await receive(as, "orders/o-1");
    await settled();
    let now = began + day;
    await die(as, now);
    for (let tries = 1; tries <= 5; tries++) {
      await expect
        .poll(() => unfiled(as))
        .toMatchObject([{ tries, due: now + 1_000 * 2 ** (tries - 1) }]);
      expect(await letters(as)).toEqual([]);
      now += 1_000 * 2 ** (tries - 1);
      expect(await alarmOf(as)).toBe(now);
      if (tries === 3) {
        const died = runInDurableObject(objectOf(as), (_, state) =>
          state.abort("the process died"),
        );
        await expect(died).rejects.toThrow("the process died");
      }
      setTime(now);
      await ring(as);
    }
    await expect.poll(() => unfiled(as)).toMatchObject([{ tries: 6, due: now + 32_000 }]);
    await env.LIST.exec("DROP TRIGGER down");
    setTime(now + 32_000);
    await ring(as);
    await expect.poll(() => letters(as)).toHaveLength(1);
    await expect.poll(() => unfiled(as)).toEqual([]);
  });

  it("dies once more after it was sent again: the same letter, dead, its history longer", async () => {
    const as = stranger();
    await register(as);
    await receive(as, "orders/o-1");
    await settled();
    await die(as, began + day);
    await expect.poll(() => letters(as)).toHaveLength(1);
    const [{ id }] = (await letters(as)) as [ListedLetter];
    const redrive = `/dead-letters/${id}/redrive`;
    expect((await call("POST", redrive, { as: undertaker(as) })).status).toBe(200);
    expect(await letters(as)).toEqual([]);
    await settled();
    // After as many tries as the first time.
    await die(as, began + 3 * day);
    await expect.poll(() => letters(as)).toMatchObject([{ id, attempts: 2, status: "dead" }]);
    const { body } = await call<Letter>("GET", `/dead-letters/${id}`, { as: undertaker(as) });
    expect(body.history.map(({ what }) => what)).toEqual(["died", "sent again", "died"]);
  });

  it("in great numbers, when an endpoint is disabled, is filed without one missing", async () => {
    const as = stranger();
    const endpoint = await register(as);
    for (let n = 0; n < 45; n++) await receive(as, `orders/o-${n}`);
    const { status } = await call("POST", `/webhooks/${endpoint}/disable`, { as });
    expect(status).toBe(200);
    const all = `/dead-letters?limit=100`;
    await expect
      .poll(async () => {
        const { body } = await call<{ letters: [] }>("GET", all, { as: undertaker(as) });
        return body.letters.length;
      })
      .toBe(45);
    expect(await unfiled(as)).toEqual([]);
  });

  it("is filed no more once its instance is erased, or it was discarded", async () => {
    const as = stranger();
    await register(as);
    await env.LIST.exec(
      "CREATE TRIGGER down BEFORE INSERT ON dead_letters BEGIN SELECT RAISE(ABORT, 'down'); END",
    );
    await receive(as, "orders/o-1");
    await settled();
    await die(as, began + day);
    await expect.poll(async () => (await unfiled(as))[0]).toMatchObject({ tries: 1 });
    await settled();
    const calls = objectOf(as) as unknown as WebhooksCalls;
    await calls.eraseSubject({ tenant: as.tenant }, "orders/o-1");
    await env.LIST.exec("DROP TRIGGER down");
    setTime(began + 2 * day);
    await ring(as);
    await expect.poll(() => unfiled(as)).toEqual([]);
    expect(await letters(as)).toEqual([]);
  });

  it("can't be sent again once its endpoint is gone, and can be discarded then", async () => {
    const as = stranger();
    const endpoint = await register(as);
    await receive(as, "orders/o-1");
    await settled();
    await die(as, began + day);
    await expect.poll(() => letters(as)).toHaveLength(1);
    const [{ id }] = (await letters(as)) as [ListedLetter];
    await call("DELETE", `/webhooks/${endpoint}`, { as });
    const again = await call("POST", `/dead-letters/${id}/redrive`, { as: undertaker(as) });
    expect(again).toMatchObject({ status: 502 });
    expect(await letters(as)).toHaveLength(1);
    const discarded = await call("DELETE", `/dead-letters/${id}`, { as: undertaker(as) });
    expect(discarded.status).toBe(200);
    expect(await letters(as)).toEqual([]);
  });
});
