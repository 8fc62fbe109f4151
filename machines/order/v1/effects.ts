import type { EffectsOf } from "durachart/workflow";
import type { orderMachine } from "./machine.ts";

/** A transport takes a message or it doesn't: five tries within a minute or so, then the chart decides. */
const ask = { attempts: 5, timeout: 10_000 };

export const orderEffects: EffectsOf<typeof orderMachine, unknown> = {
  actors: {
    orderPizzaFromKitchen: {
      ...ask,
      run: ({ input, publish }) => publish("kitchen", { type: "MAKE_PIZZA", data: input }),
    },
    orderDelivery: {
      ...ask,
      run: ({ input, publish }) => publish("delivery", { type: "DELIVER_PIZZA", data: input }),
    },
  },
  actions: {
    cancelAtKitchen: (_params, { publish }) =>
      publish("kitchen", { type: "CANCEL_PIZZA", data: {} }),
    cancelAtDelivery: (_params, { publish }) =>
      publish("delivery", { type: "CANCEL_DELIVERY", data: {} }),
  },
  routes: {
    orderlog: ({ type, ...data }, { publish }) => publish("orderlog", { type, data }),
    webhooks: ({ type, ...data }, { publish }) => publish("webhooks", { type, data }),
  },
};
