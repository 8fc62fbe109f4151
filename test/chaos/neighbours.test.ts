import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { furnishTheShop } from "../../src/cli/furnish.ts";
import { makeSecrets, tokenOf, withAuthService } from "../../src/cli/secrets.ts";
import { signUp } from "../../src/cli/sign-up.ts";
import type { JournalEntry, View } from "../../src/contract/view.ts";
import { randomFrom } from "../support/random.ts";
import { neighbours, processes, relayQueues } from "./apart/processes.ts";
import { hurried } from "./shop/alterations.ts";
import { Caller } from "./shop/caller.ts";
import { Worker } from "./shop/people.ts";
import { Shop } from "./shop/shop.ts";

const seed = Number(process.env["DURACHART_SEED"] ?? 20_261_123);
const random = randomFrom(seed);
const username = "carla@example.test";
const password = "mango tango";
/** Milliseconds that a neighbour stays away. */
const AWAY = 1_500;

let shop: Shop;
let carla: Caller;
let staff: Caller;
let isOver = false;
let working: Promise<unknown> = Promise.resolve();
const orders: string[] = [];

beforeAll(async () => {
  const secrets = makeSecrets();
  const variables = withAuthService(secrets);
  shop = await Shop.start({
    ...{ variables, alterations: hurried(3), processes, prepare: relayQueues },
  });
  const named = async (token: string) => new Caller(() => shop.url, token, random);
  await furnishTheShop(shop.url, { ...secrets, variables });
  staff = await named(await tokenOf(shop.url, secrets.clients.staff));
  const token = await tokenOf(shop.url, secrets.clients.staff);
  carla = await named(await signUp(shop.url, token, { username, password }));
  working = Promise.all(
    (["kitchen", "delivery"] as const).map((station) =>
      new Worker(staff, station, station, random).run(() => isOver),
    ),
  );
}, 180_000);

afterAll(async () => {
  isOver = true;
  await working;
  await shop.remove();
}, 60_000);

const pizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const say = (id: string, event: object, key: string) =>
  carla.call("POST", `/orders/${id}/events`, event, `${id}-${key}`);

async function begin(id: string): Promise<void> {
  orders.push(id);
  await carla.call("POST", "/orders", { id, event: pizza("p1") }, id);
  await say(id, pizza("p2"), "p2");
}
const confirm = (id: string) => say(id, { type: "CONFIRM_PIZZA" }, "confirm");
const viewOf = (id: string) => carla.get<View>(`/orders/${id}`);

/** Sees an order through: says what a customer would about one that asks. */
async function untilDelivered(id: string): Promise<void> {
  const deadline = performance.now() + 90_000;
  for (let tries = 0; ; tries++) {
    const { state, context } = await viewOf(id);
    if (state === "delivered") return;
    const said = JSON.stringify(state);
    if (said.includes("errorIn")) await say(id, { type: "RETRY" }, `retry-${tries}`);
    // It was never taken, and says so: confirmed once more.
    if (said.includes("choosing")) await say(id, { type: "CONFIRM_PIZZA" }, `confirm-${tries}`);
    if (performance.now() > deadline) {
      throw new Error(
        `${id} is stuck in ${said}: ${String((context as { reason: unknown }).reason)}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe("a neighbour whose process is killed", () => {
  it.each(neighbours)(
    "%s: orders wait, go on when it is back, and what it has no part in goes on without it",
    async (name) => {
      const [before, meanwhile] = [`${name}-before`, `${name}-meanwhile`];
      await begin(before);
      await confirm(before);
      await shop.kill(name);
      const killed = performance.now();
      await begin(meanwhile);
      await confirm(meanwhile);
      const parts = { catalog: "products", chat: "chat" } as Record<string, string>;
      const part = parts[name];
      if (part !== undefined) {
        const { body } = await carla.call("GET", `/api/orders/${before}`);
        expect(body).toMatchObject({ order: { id: before }, [part]: { status: "unavailable" } });
      }
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, AWAY - (performance.now() - killed))),
      );
      await shop.restart(name);
      await Promise.all([before, meanwhile].map(untilDelivered));
    },
    180_000,
  );

  it("has lost nothing and doubled nothing, in all of them", { timeout: 120_000 }, async () => {
    const long = { timeout: 60_000, interval: 250 };
    for (const id of orders) {
      const { body } = await carla.call("GET", `/orders/${id}/history?limit=1000`);
      const { entries } = body as { entries: JournalEntry[] };
      const applied = (type: string) =>
        entries.filter(({ event, outcome }) => event.type === type && outcome === "applied").length;
      expect([applied("PIZZA_DELIVERED"), applied("durachart.started")]).toEqual([1, 1]);
    }
    // What was reserved was used, once a line, and nothing stays reserved.
    await expect
      .poll(() => staff.get("/api/catalog/products/mango-tango/stock"), long)
      .toEqual({
        onHand: 1_000 - 2 * orders.length,
        reserved: 0,
        available: 1_000 - 2 * orders.length,
      });
    const logged = async (id: string) => {
      const path = `/orderlog/log?order=orders/${id}&limit=1000`;
      const { entries } = await staff.get<{ entries: { type: string }[] }>(path);
      const count = (type: string) => entries.filter((entry) => entry.type === type).length;
      return [count("order.confirmed"), count("order.delivered")];
    };
    for (const id of orders) await expect.poll(() => logged(id), long).toEqual([1, 1]);
    const mailed = async () => {
      const { mails } = await staff.get<{ mails: { subject: string }[] }>("/api/mailbox");
      return mails.map(({ subject }) => subject).toSorted();
    };
    // One to confirm her registration, one to welcome her, and two for each order.
    await expect.poll(async () => (await mailed()).length, long).toBe(2 + 2 * orders.length);
  });
});
