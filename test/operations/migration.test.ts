import { describe, expect, it, vi } from "vitest";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { ProcessDied, runInNode, type NodeInstance } from "../../src/testing/index.ts";
import { orderIn, orderStates } from "../support/order-states.ts";
import { ordersBoth, ordersV1, ordersV2, toTwo } from "../support/order-v2.ts";

const after = (name: string) => new RegExp(`^xstate\\.after\\.${name}\\.order\\.shop\\.`);

/** What each state is in the second version, and the timers that it then has. */
const expected: Record<string, { shop: unknown; timers: RegExp[]; runs: string[] }> = {
  orderPizza: {
    shop: "orderPizza",
    timers: [after("reminder"), after("orderingTimeout")],
    runs: [],
  },
  "bakePizza.sendingOrderToKitchen": {
    shop: { bakePizza: "sendingOrderToKitchen" },
    timers: [],
    runs: ["orderPizzaFromKitchen"],
  },
  "bakePizza.waitingForPizzaToBeBaked": {
    shop: { bakePizza: "waitingForPizzaToBeBaked" },
    timers: [after("kitchenTimeout")],
    runs: [],
  },
  "bakePizza.pizzaInOven": {
    shop: { bakePizza: "pizzaInOven" },
    timers: [after("ovenTimeout")],
    runs: [],
  },
  "bakePizza.errorInKitchen": {
    shop: { bakePizza: "kitchenTrouble" },
    timers: [after("decisionTimeout")],
    runs: [],
  },
  "deliverPizza.sendingOrderToDelivery": {
    shop: { deliverPizza: "sendingOrderToDelivery" },
    timers: [],
    runs: ["orderDelivery"],
  },
  "deliverPizza.waitingForPizzaToBeDelivered": {
    shop: { deliverPizza: { waitingForPizzaToBeDelivered: "onTheRoad" } },
    timers: [after("approach"), after("deliveryTimeout")],
    runs: [],
  },
  "deliverPizza.errorInDelivery": {
    shop: { deliverPizza: "errorInDelivery" },
    timers: [after("decisionTimeout")],
    runs: [],
  },
};

const live = Object.keys(expected);

describe("an order of version 1", () => {
  it("has these states", () => {
    expect([...live, "delivered", "cancelled"].toSorted()).toEqual(orderStates.toSorted());
  });

  describe.each([
    ["still deployed", ordersBoth],
    ["not deployed any more", ordersV2],
  ])("which is %s", (_, deployment) => {
    it.each(live)("in %s becomes one of version 2, and goes on", async (state) => {
      vi.spyOn(console, "error").mockReturnValue();
      const { order } = await orderIn(state, (options) => runInNode(ordersV1, options));
      const loyalty = Promise.withResolvers<number>();
      const before = await order.view();
      await order.deploy(deployment, { actors: { loyalty: () => loyalty.promise } });
      const answer = await order.operate({ name: "migrate" });
      const { shop, timers, runs } = expected[state]!;
      const { operation, ...view } = answer.ok
        ? answer.view
        : (expect.fail(JSON.stringify(answer)) as never);
      expect(operation).toMatchObject({ changed: true, from: "1", to: "2" });
      expect(view).toMatchObject({
        ...{ version: "2", status: "active", state: { shop, account: "asking" } },
        context: { ...before.context, reminded: false, points: null },
        seq: before.seq + 1,
        incidents: [],
      });
      expect(view.timers).toHaveLength(timers.length);
      for (const [index, timer] of timers.entries()) {
        expect(view.timers[index]!.event).toMatch(timer);
      }
      // What ran before goes on with the time it had; what is new begins now.
      const kept = view.timers.filter(({ event }) => !/reminder|approach/.test(event));
      expect(kept.map(({ due }) => due)).toEqual(before.timers.map(({ due }) => due));
      expect(view.actors.map(({ id }) => id).toSorted()).toEqual([...runs, "loyalty"].toSorted());
      loyalty.resolve(7);
      await order.settle();
      expect(await order.view()).toMatchObject({
        state: { shop, account: "known" },
        context: { points: 7 },
      });
      const { event, by } = (await order.history()).find(({ seq }) => seq === before.seq + 1)!;
      expect({ event, by }).toEqual({
        event: { type: "durachart.migrated", data: { from: "1", to: "2" } },
        by: "tester",
      });
    });
  });
});

const broken: WorkflowDefinition = {
  ...ordersV2,
  migrations: [
    { ...toTwo, migrate: (state) => ({ ...toTwo.migrate(state), value: { shop: "nowhere" } }) },
  ],
};

const throwing: WorkflowDefinition = {
  ...ordersV2,
  migrations: [
    {
      ...toTwo,
      migrate: () => {
        throw new Error("forgot about anna");
      },
    },
  ],
};

const start = async (state = "bakePizza.waitingForPizzaToBeBaked") =>
  (await orderIn(state, (options) => runInNode(ordersV1, options))).order;

const stored = async (order: NodeInstance) => {
  const {
    status: _,
    allowed: __,
    incidents: ___,
    tags: ____,
    message: _____,
    ...rest
  } = await order.view();
  return rest;
};

describe("an order that can't be moved", () => {
  it.each([
    ["because the result is no state of the chart", broken, /nowhere/],
    ["because the migration throws", throwing, /forgot about anna/],
    ["because there is no migration", { ...ordersV2, migrations: [] }, /no migration leads/],
  ])("%s stays quarantined, untouched, and is moved once it is mended", async (_, bad, why) => {
    vi.spyOn(console, "error").mockReturnValue();
    const order = await start();
    const before = await stored(order);
    await order.deploy(bad);
    const answer = await order.operate({ name: "migrate" });
    expect(answer).toMatchObject({ ok: false, problem: { status: 409, detail: why } });
    expect(await order.view()).toMatchObject({
      ...{ status: "quarantined", version: "1" },
      incidents: [{ kind: "quarantined", mend: "POST /tests/test/migrate" }],
    });
    expect(await stored(order)).toEqual(before);
    expect(await order.history()).toHaveLength(before.seq);
    await order.deploy(ordersV2, { actors: { loyalty: () => 7 } });
    expect(await order.operate({ name: "migrate" })).toMatchObject({ view: { status: "active" } });
  });

  it("keeps the events that come meanwhile, and its deadlines", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const order = await start("bakePizza.pizzaInOven");
    await order.deploy(ordersV2, { actors: { loyalty: () => 7 } });
    const kept = await order.send("PIZZA_READY", "k1");
    expect(kept).toMatchObject({ ok: true, reply: { outcome: "deferred" } });
    const again = await order.send("PIZZA_READY", "k1");
    expect(again).toMatchObject({ reply: { outcome: "duplicate" } });
    await order.operate({ name: "migrate" });
    expect(await order.view()).toMatchObject({
      state: { shop: { deliverPizza: { waitingForPizzaToBeDelivered: "onTheRoad" } } },
      held: [],
    });
    const outcomes = (await order.history()).map(
      ({ event, outcome }) => `${event.type} ${outcome}`,
    );
    expect(outcomes.filter((line) => line.startsWith("PIZZA_READY"))).toEqual([
      "PIZZA_READY deferred",
      "PIZZA_READY applied",
    ]);
  });

  it("heals when the deployment is rolled back, in the middle of moving all of them", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const [moved, unmoved] = [await start(), await start()];
    for (const order of [moved, unmoved]) {
      await order.deploy(ordersBoth, { actors: { loyalty: () => 7 } });
    }
    await moved.operate({ name: "migrate" });
    await moved.settle();
    for (const order of [moved, unmoved]) await order.deploy(ordersV1);
    // What was moved waits for its version to come back, and keeps what is sent to it.
    expect(await moved.view()).toMatchObject({ status: "quarantined", version: "2" });
    expect(await moved.send("PIZZA_IN_OVEN")).toMatchObject({ reply: { outcome: "deferred" } });
    expect(await unmoved.send("PIZZA_IN_OVEN")).toMatchObject({
      reply: { outcome: "applied", state: { bakePizza: "pizzaInOven" } },
    });
    for (const order of [moved, unmoved]) await order.deploy(ordersBoth);
    expect(await moved.view()).toMatchObject({
      ...{ status: "active", version: "2", held: [] },
      state: { shop: { bakePizza: "pizzaInOven" }, account: "known" },
    });
    expect(await unmoved.view()).toMatchObject({ version: "1", status: "active" });
    await unmoved.operate({ name: "migrate" });
    expect(await unmoved.view()).toMatchObject({ version: "2" });
  });
});

describe("migrating", () => {
  it("again changes nothing", async () => {
    const order = await start();
    await order.deploy(ordersBoth, { actors: { loyalty: () => 7 } });
    await order.operate({ name: "migrate" });
    await order.settle();
    const before = await order.view();
    const answer = await order.operate({ name: "migrate" });
    expect(answer).toMatchObject({ view: { operation: { changed: false }, seq: before.seq } });
  });

  it.each(["delivered", "cancelled"])("what is %s only changes its version", async (state) => {
    const order = await start(state);
    const finished: WorkflowDefinition = {
      ...ordersBoth,
      migrations: [
        {
          ...toTwo,
          migrate: (from) => ({ ...from, value: { shop: from.value, account: "known" } }),
        },
      ],
    };
    await order.deploy(finished);
    expect(await order.operate({ name: "migrate" })).toMatchObject({
      view: { version: "2", status: "done", state: { shop: state }, actors: [], timers: [] },
    });
  });

  it.each(["before", "after"] as const)("is all or nothing: killed %s its commit", async (when) => {
    vi.spyOn(console, "error").mockReturnValue();
    const order = await start();
    await order.deploy(ordersBoth, { actors: { loyalty: () => 7 } });
    const { seq } = await order.view();
    order.crash(when);
    await expect(order.operate({ name: "migrate" })).rejects.toThrow(ProcessDied);
    const version = when === "after" ? "2" : "1";
    expect(await order.view()).toMatchObject({ version, incidents: [] });
    expect(await order.operate({ name: "migrate" })).toMatchObject({
      view: { version: "2", operation: { changed: when === "before" } },
    });
    await order.advance(31_000);
    expect(await order.view()).toMatchObject({ context: { points: 7 }, seq: seq + 2 });
  });

  it("can be taken back: the version goes back with the state", async () => {
    const order = await start();
    const before = await order.view();
    await order.deploy(ordersBoth, { actors: { loyalty: () => 7 } });
    await order.operate({ name: "migrate" });
    await order.settle();
    const answer = await order.operate({ name: "rewind", to: before.seq });
    expect(answer).toMatchObject({
      view: { version: "1", state: before.state, context: before.context, timers: before.timers },
    });
    await order.operate({ name: "migrate" });
    expect(await order.view()).toMatchObject({ version: "2" });
    expect(await order.moment(before.seq)).toMatchObject({ version: "1", state: before.state });
  });
});
