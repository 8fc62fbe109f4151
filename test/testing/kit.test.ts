import { describe, expect, it } from "vitest";
import { orderAccess } from "../../machines/order/v1/access.ts";
import { orderEffects } from "../../machines/order/v1/effects.ts";
import { orderEvents, orderInput } from "../../machines/order/v1/events.ts";
import { orderMachine } from "../../machines/order/v1/machine.ts";
import { bakedTooLong, bakeTooLong } from "../support/kit-scenario.ts";
import { ProcessDied, runInNode } from "../../src/testing/index.ts";

const orders = {
  machine: orderMachine,
  events: orderEvents,
  input: orderInput,
  effects: orderEffects,
  access: orderAccess,
};
const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const kitchen = { orderPizzaFromKitchen: () => null, orderDelivery: () => null };
const minute = 60_000;

describe("a workflow in plain Node", () => {
  it("runs with mocked actors and a clock that moves only when told to", async () => {
    const order = runInNode(orders, { actors: kitchen });
    await order.start({ event: addPizza("p1") });
    await order.send("CONFIRM_PIZZA");
    expect((await order.view()).state).toEqual({ bakePizza: "waitingForPizzaToBeBaked" });
    await order.advance(45 * minute - 1);
    expect((await order.view()).state).toEqual({ bakePizza: "waitingForPizzaToBeBaked" });
    await order.advance(1);
    expect(await order.view()).toMatchObject({
      state: { bakePizza: "errorInKitchen" },
      context: { reason: "the kitchen did not finish in time" },
    });
    expect(order.sent.map(({ name }) => name)).toEqual(["order.confirmed", "order.failed"]);
  });

  it("tells the same story as in workerd", async () => {
    const order = runInNode(orders, { actors: kitchen });
    expect(await bakeTooLong(order)).toEqual(bakedTooLong);
  });

  it("refuses to stand in for an actor that there is not", () => {
    expect(() => runInNode(orders, { actors: { nope: () => null } })).toThrow(
      /no actor "nope".*orderPizzaFromKitchen, orderDelivery/,
    );
  });

  it("tells what an event was answered", async () => {
    const order = runInNode(orders, { actors: kitchen });
    await order.start();
    expect(await order.send("CONFIRM_PIZZA")).toMatchObject({
      ok: false,
      problem: { type: "urn:durachart:problem:event-not-allowed" },
    });
    expect(await order.send("NONSENSE")).toMatchObject({ ok: false });
    expect(await order.send(addPizza("p1"), "k")).toMatchObject({ reply: { outcome: "applied" } });
    expect(await order.send(addPizza("p1"), "k")).toMatchObject({
      reply: { outcome: "duplicate" },
    });
  });

  it.each(["before", "after"] as const)("survives a crash just %s a commit", async (when) => {
    const order = runInNode(orders, { actors: kitchen });
    await order.start({ event: addPizza("p1") });
    order.crash(when);
    await expect(order.send(addPizza("p2"), "k2")).rejects.toThrow(ProcessDied);
    const { context } = await order.view();
    expect(context["items"]).toHaveLength(when === "after" ? 2 : 1);
    const outcome = when === "after" ? "duplicate" : "applied";
    expect(await order.send(addPizza("p2"), "k2")).toMatchObject({ reply: { outcome } });
    expect((await order.view()).context["items"]).toHaveLength(2);
  });

  it("runs an actor again that died with its process, under the same id", async () => {
    const ids: string[] = [];
    const order = runInNode(orders, {
      actors: {
        ...kitchen,
        orderPizzaFromKitchen: ({ id }) => {
          ids.push(id);
          return ids.length === 1 ? new Promise(() => {}) : null;
        },
      },
    });
    await order.start({ event: addPizza("p1") });
    await order.send("CONFIRM_PIZZA");
    await order.restart();
    expect((await order.view()).state).toEqual({ bakePizza: "sendingOrderToKitchen" });
    await order.advance(31_000);
    expect((await order.view()).state).toEqual({ bakePizza: "waitingForPizzaToBeBaked" });
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
  });
});
