import { expect } from "vitest";
import type { TestInstance } from "../../src/testing/test-instance.ts";

const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const minute = 60_000;

/** One order, driven by the test kit: the same story in plain Node and in workerd. */
export async function bakeTooLong(order: TestInstance): Promise<string[]> {
  await order.start({ input: {}, event: addPizza("p1") });
  expect(await order.send(addPizza("p2"), "k2")).toMatchObject({ reply: { outcome: "applied" } });
  await order.restart();
  expect(await order.send(addPizza("p2"), "k2")).toMatchObject({ reply: { outcome: "duplicate" } });
  expect(await order.send("RETRY")).toMatchObject({ ok: false, problem: { status: 409 } });
  await order.send("CONFIRM_PIZZA");
  await order.settle();
  expect((await order.view()).state).toEqual({ bakePizza: "waitingForPizzaToBeBaked" });
  await order.advance(45 * minute - 1);
  await order.restart();
  expect((await order.view()).state).toEqual({ bakePizza: "waitingForPizzaToBeBaked" });
  await order.advance(1);
  expect((await order.view()).state).toEqual({ bakePizza: "errorInKitchen" });
  return (await order.history()).map(({ event }) => event.type);
}

export const bakedTooLong = [
  "durachart.started",
  "ADD_PIZZA",
  "ADD_PIZZA",
  "CONFIRM_PIZZA",
  "xstate.done.actor.orderPizzaFromKitchen",
  "xstate.after.kitchenTimeout.order.bakePizza.waitingForPizzaToBeBaked",
];
