import { describe, expect, it } from "vitest";
import { workflows } from "../../machines/index.ts";
import { orderEffects } from "../../machines/order/effects.ts";
import { orderV1 } from "../../machines/order/v1/index.ts";
import { runInNode } from "../../src/testing/index.ts";

const add = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
const catalog = {
  lookUpProducts: () => [],
  reserveStock: () => ({ reserved: true }),
};
const stations = { orderPizzaFromKitchen: () => null, orderDelivery: () => null };

/** An order of version 1, after some moves, in the hands of version 2. */
async function migrated(...moves: string[]) {
  const order = runInNode(orderV1, { actors: stations });
  await order.start({ event: add, input: { customer: "carla" } });
  for (const type of moves) await order.send({ type, data: {} });
  const before = await order.view();
  await order.deploy(workflows.orders, { actors: { ...stations, ...catalog } });
  await order.operate({ name: "migrate" });
  return { order, before };
}

describe("an order of before the catalog", () => {
  it.each<[string, string[], unknown]>([
    ["is being chosen", [], { orderPizza: "choosing" }],
    ["waits for the oven", ["CONFIRM_PIZZA"], { bakePizza: "waitingForPizzaToBeBaked" }],
    ["is in the oven", ["CONFIRM_PIZZA", "PIZZA_IN_OVEN"], { bakePizza: "pizzaInOven" }],
    [
      "is on the road",
      ["CONFIRM_PIZZA", "PIZZA_READY"],
      { deliverPizza: "waitingForPizzaToBeDelivered" },
    ],
  ])("that %s goes on where it was, with its price", async (_, moves, state) => {
    const { order, before } = await migrated(...moves);
    const view = await order.view();
    expect(view).toMatchObject({ version: "2", state });
    expect(view.context).toMatchObject({ ...before.context, round: 0, isConfirmed: false });
  });

  it("is confirmed and delivered by the new chart, its stock reserved", async () => {
    const { order } = await migrated();
    await order.send({ type: "CONFIRM_PIZZA", data: {} });
    await order.send({ type: "PIZZA_READY", data: {} });
    await order.send({ type: "PIZZA_DELIVERED", data: {} });
    expect(await order.view()).toMatchObject({ state: "delivered", context: { round: 1 } });
  });

  it("asks the catalog for nothing where nothing was reserved", async () => {
    const { keepStock, releaseStock, useStock } = orderEffects.actions!;
    for (const action of [keepStock, releaseStock, useStock]) {
      const said = action as { run: (wish: object, context: object) => Promise<void> };
      // Without a catalog bound it would throw.
      await said.run({ round: 0, items: [] }, { env: {}, instance: {} });
    }
  });
});
