import type { EffectsOf } from "durachart/workflow";
import type { orderMachine } from "./machine.ts";

/** The queues the order speaks to; the bindings stand in `wrangler.toml`. */
export interface OrderBindings {
  KITCHEN_QUEUE: Queue;
  DELIVERY_QUEUE: Queue;
  ORDERLOG_QUEUE: Queue;
}

/** A queue takes a message or it doesn't: five tries within a minute or so, then the chart decides. */
const ask = { attempts: 5, timeout: 10_000 };

export const orderEffects: EffectsOf<typeof orderMachine, OrderBindings> = {
  actors: {
    orderPizzaFromKitchen: {
      ...ask,
      run: ({ input, env, publish }) =>
        publish(env.KITCHEN_QUEUE, { type: "MAKE_PIZZA", data: input }),
    },
    orderDelivery: {
      ...ask,
      run: ({ input, env, publish }) =>
        publish(env.DELIVERY_QUEUE, { type: "DELIVER_PIZZA", data: input }),
    },
  },
  actions: {
    cancelAtKitchen: (_params, { env, publish }) =>
      publish(env.KITCHEN_QUEUE, { type: "CANCEL_PIZZA", data: {} }),
    cancelAtDelivery: (_params, { env, publish }) =>
      publish(env.DELIVERY_QUEUE, { type: "CANCEL_DELIVERY", data: {} }),
  },
  routes: {
    orderlog: ({ type, ...data }, { env, publish }) => publish(env.ORDERLOG_QUEUE, { type, data }),
  },
};
