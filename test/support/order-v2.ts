import { assign, createMachine, fromPromise, type AnyStateMachine, type StateValue } from "xstate";
import { orderAccess } from "../../machines/order/v1/access.ts";
import { orderEffects } from "../../machines/order/v1/effects.ts";
import { orderEvents, orderInput } from "../../machines/order/v1/events.ts";
import { orderMachine } from "../../machines/order/v1/machine.ts";
import type { Migration, WorkflowDefinition } from "../../src/kernel/workflow.ts";

const { actors, guards, actions, delays } = orderMachine.implementations;

const cancel = (...more: string[]) => ({
  CANCEL_ORDER: { target: "#order.shop.cancelled", actions: ["noteReason", ...more] },
});

const orderPizza = {
  entry: "noteOrdering",
  on: {
    ADD_PIZZA: { guard: "isNewItem", target: "orderPizza", reenter: true, actions: "addItem" },
    CONFIRM_PIZZA: { guard: "hasItems", target: "bakePizza", actions: "announceConfirmed" },
    ...cancel(),
  },
  after: {
    orderingTimeout: { target: "cancelled", actions: "noteNeverConfirmed" },
    // New: a timer.
    reminder: { actions: "remind" },
  },
};

const bakePizza = {
  initial: "sendingOrderToKitchen",
  on: {
    PIZZA_READY: { target: "deliverPizza", actions: "announceBaked" },
    PIZZA_FAILED: { target: ".kitchenTrouble", actions: "noteReason" },
  },
  states: {
    sendingOrderToKitchen: {
      entry: "noteBaking",
      invoke: {
        id: "orderPizzaFromKitchen",
        src: "orderPizzaFromKitchen",
        onDone: "waitingForPizzaToBeBaked",
        onError: { target: "kitchenTrouble", actions: "noteKitchenUnreachable" },
      },
      on: cancel("cancelAtKitchen"),
    },
    waitingForPizzaToBeBaked: {
      on: { PIZZA_IN_OVEN: "pizzaInOven", ...cancel("cancelAtKitchen") },
      after: { kitchenTimeout: { target: "kitchenTrouble", actions: "noteKitchenSilent" } },
    },
    pizzaInOven: {
      after: { ovenTimeout: { target: "kitchenTrouble", actions: "noteKitchenSilent" } },
    },
    // It was called errorInKitchen.
    kitchenTrouble: {
      entry: ["noteAttention", "announceFailed"],
      on: { RETRY: "sendingOrderToKitchen", ...cancel("cancelAtKitchen") },
      after: { decisionTimeout: { target: "#order.shop.cancelled", actions: "noteNobodyCared" } },
    },
  },
};

const deliverPizza = {
  initial: "sendingOrderToDelivery",
  on: {
    PIZZA_DELIVERED: "delivered",
    DELIVERY_FAILED: { target: ".errorInDelivery", actions: "noteReason" },
  },
  states: {
    sendingOrderToDelivery: {
      invoke: {
        id: "orderDelivery",
        src: "orderDelivery",
        onDone: "waitingForPizzaToBeDelivered",
        onError: { target: "errorInDelivery", actions: "noteDeliveryUnreachable" },
      },
    },
    // New: compound.
    waitingForPizzaToBeDelivered: {
      initial: "onTheRoad",
      after: { deliveryTimeout: { target: "errorInDelivery", actions: "noteDeliverySilent" } },
      states: { onTheRoad: { after: { approach: "nearby" } }, nearby: {} },
    },
    errorInDelivery: {
      entry: ["noteAttention", "announceFailed"],
      on: { RETRY: "sendingOrderToDelivery", ...cancel("cancelAtKitchen", "cancelAtDelivery") },
      after: { decisionTimeout: { target: "#order.shop.cancelled", actions: "noteNobodyCared" } },
    },
  },
};

/** The order's chart after a change of everything that charts change. */
const orderMachine2 = createMachine(
  {
    id: "order",
    version: "2",
    type: "parallel",
    context: orderMachine.config.context,
    states: {
      shop: {
        initial: "orderPizza",
        states: {
          ...{ orderPizza, bakePizza, deliverPizza },
          delivered: { type: "final", entry: ["noteDelivered", "announceDelivered"] },
          cancelled: { type: "final", entry: ["noteCancelled", "announceCancelled"] },
        },
      },
      // New: a region, which asks an actor.
      account: {
        initial: "asking",
        states: {
          asking: {
            invoke: {
              id: "loyalty",
              src: "loyalty",
              onDone: { target: "known", actions: "keepPoints" },
            },
          },
          known: { type: "final" },
        },
      },
    },
    output: orderMachine.config.output,
  } as never,
  {
    guards,
    actors: { ...actors, loyalty: fromPromise(() => Promise.resolve(7)) },
    actions: {
      ...actions,
      remind: assign({ reminded: true } as never),
      keepPoints: assign({
        points: ({ event }: { event: object }) => (event as { output: number }).output,
      } as never),
    },
    delays: { ...delays, reminder: 3_600_000, approach: 600_000 },
  } as never,
) as unknown as AnyStateMachine;

/** From the first version to this one. */
export const toTwo: Migration = {
  from: "1",
  to: "2",
  renames: {
    orderPizza: "shop.orderPizza",
    bakePizza: "shop.bakePizza",
    "bakePizza.errorInKitchen": "shop.bakePizza.kitchenTrouble",
    deliverPizza: "shop.deliverPizza",
  },
  migrate: ({ value, context, children }) => ({
    value: { shop: renamed(value), account: "asking" },
    context: { ...context, reminded: false, points: null },
    children,
  }),
};

function renamed(value: StateValue): StateValue {
  const baking = (value as { bakePizza?: string }).bakePizza;
  return baking === "errorInKitchen" ? { bakePizza: "kitchenTrouble" } : value;
}

export const ordersV1: WorkflowDefinition = {
  machine: orderMachine,
  events: orderEvents,
  input: orderInput,
  effects: orderEffects,
  access: orderAccess,
  cancel: "CANCEL_ORDER",
};

const { REMOVE_PIZZA: _, ...events2 } = orderEvents;

/** Without the first version in the bundle: its instances wait to be migrated. */
export const ordersV2: WorkflowDefinition = {
  ...ordersV1,
  machine: orderMachine2,
  events: events2,
  migrations: [toTwo],
};

export const ordersBoth: WorkflowDefinition = { ...ordersV2, versions: [ordersV1] };
