import type { NodeInstance, NodeOptions } from "../../src/testing/index.ts";

const minute = 60_000;

const addPizza = (id: string) => ({
  type: "ADD_PIZZA",
  data: { id, pizza: "mango-tango" },
});

/** Answers of the two services, set by the way to a state. */
interface World {
  kitchen: () => unknown;
  delivery: () => unknown;
}

const never = (): Promise<never> => new Promise(() => {});

/** How to bring an order into each state of its chart. */
const ways: Record<string, (order: NodeInstance, world: World) => Promise<unknown>> = {
  orderPizza: () => Promise.resolve(),
  "bakePizza.sendingOrderToKitchen": async (order, world) => {
    world.kitchen = never;
    await order.send("CONFIRM_PIZZA");
  },
  "bakePizza.waitingForPizzaToBeBaked": (order) => order.send("CONFIRM_PIZZA"),
  "bakePizza.pizzaInOven": async (order) => {
    await order.send("CONFIRM_PIZZA");
    await order.send("PIZZA_IN_OVEN");
  },
  "bakePizza.errorInKitchen": async (order) => {
    await order.send("CONFIRM_PIZZA");
    await order.send({ type: "PIZZA_FAILED", data: { reason: "burnt" } });
  },
  "deliverPizza.sendingOrderToDelivery": async (order, world) => {
    world.delivery = never;
    await order.send("CONFIRM_PIZZA");
    await order.send("PIZZA_READY");
  },
  "deliverPizza.waitingForPizzaToBeDelivered": async (order) => {
    await order.send("CONFIRM_PIZZA");
    await order.send("PIZZA_READY");
  },
  "deliverPizza.errorInDelivery": async (order) => {
    await order.send("CONFIRM_PIZZA");
    await order.send("PIZZA_READY");
    await order.send({ type: "DELIVERY_FAILED", data: { reason: "lost" } });
  },
  delivered: async (order) => {
    await order.send("CONFIRM_PIZZA");
    await order.send("PIZZA_READY");
    await order.send("PIZZA_DELIVERED");
  },
  cancelled: (order) => order.send({ type: "CANCEL_ORDER", data: { reason: "hungry no more" } }),
};

export const orderStates = Object.keys(ways);

/** An order in a state of its chart, ten minutes old. */
export async function orderIn(
  state: string,
  run: (options: NodeOptions) => NodeInstance,
  more: NodeOptions = {},
): Promise<{ order: NodeInstance; world: World }> {
  const world: World = { kitchen: () => null, delivery: () => null };
  const order = run({
    ...more,
    actors: {
      orderPizzaFromKitchen: () => world.kitchen(),
      orderDelivery: () => world.delivery(),
      ...more.actors,
    },
  });
  await order.start({ input: { customer: "anna" }, event: addPizza("p1") });
  await ways[state]!(order, world);
  await order.advance(10 * minute);
  const view = await order.view();
  const where = view.state as string | Record<string, string>;
  const found =
    typeof where === "string" ? where : Object.entries(where).map((pair) => pair.join("."))[0];
  if (found !== state) throw new Error(`The order is in ${found}, not in ${state}`);
  return { order, world };
}
