import { assertEvent, assign, emit, fromPromise, setup } from "xstate";
import type { OrderEvent, OrderInput } from "./events.ts";
import { menu, type PizzaName } from "./menu.ts";

const minute = 60_000;
const hour = 60 * minute;

interface Item {
  id: string;
  pizza: PizzaName;
  name: string;
  price: Money;
}

/** `amount` is an integer in the currency's minor unit. */
interface Money {
  amount: number;
  currency: string;
}

interface OrderContext {
  customer: string | null;
  deliverTo: string | null;
  items: Item[];
  total: Money;
  status: "ordering" | "baking" | "delivering" | "needs attention" | "delivered" | "cancelled";
  /** Why the order needs attention or was cancelled. */
  reason: string | null;
}

/** What the kitchen and the courier are told. */
export interface Ticket {
  items: Item[];
  deliverTo: string | null;
}

type OrderMessage = {
  type: "order.confirmed" | "order.baked" | "order.failed" | "order.delivered" | "order.cancelled";
  total: Money;
  items: number;
  reason: string | null;
};

const announce = (type: OrderMessage["type"]) =>
  emit<OrderContext, OrderEvent, undefined, OrderEvent, OrderMessage>(({ context }) => ({
    type,
    total: context.total,
    items: context.items.length,
    reason: context.reason,
  }));

const sum = (items: Item[]): Money => ({
  amount: items.reduce((total, item) => total + item.price.amount, 0),
  currency: "EUR",
});

/** The chart only names what reaches the world; `effects.ts` says how. */
const sendsATicket = (name: string) =>
  fromPromise<void, Ticket>(() => Promise.reject(new Error(`${name} is provided by effects.ts`)));

const tell = () => {};

/** One pizza order, from the first pizza to the door. */
export const orderMachine = setup({
  types: {} as {
    context: OrderContext;
    events: OrderEvent;
    input: OrderInput;
    emitted: OrderMessage;
    output: { status: OrderContext["status"]; total: Money; reason: string | null };
    meta: { message: string };
  },
  actors: {
    orderPizzaFromKitchen: sendsATicket("orderPizzaFromKitchen"),
    orderDelivery: sendsATicket("orderDelivery"),
  },
  guards: {
    isNewItem: ({ context, event }) => {
      assertEvent(event, "ADD_PIZZA");
      return context.items.length < 50 && !context.items.some((item) => item.id === event.data.id);
    },
    isOrderedItem: ({ context, event }) => {
      assertEvent(event, "REMOVE_PIZZA");
      return context.items.some((item) => item.id === event.data.id);
    },
    hasItems: ({ context }) => context.items.length > 0,
  },
  actions: {
    addItem: assign(({ context, event }) => {
      assertEvent(event, "ADD_PIZZA");
      const { id, pizza } = event.data;
      const items = [...context.items, { id, pizza, ...menu[pizza] }];
      return { items, total: sum(items) };
    }),
    removeItem: assign(({ context, event }) => {
      assertEvent(event, "REMOVE_PIZZA");
      const items = context.items.filter((item) => item.id !== event.data.id);
      return { items, total: sum(items) };
    }),
    noteOrdering: assign({ status: "ordering" }),
    noteBaking: assign({ status: "baking", reason: null }),
    noteDelivering: assign({ status: "delivering", reason: null }),
    noteDelivered: assign({ status: "delivered" }),
    noteCancelled: assign({ status: "cancelled" }),
    noteAttention: assign({ status: "needs attention" }),
    noteReason: assign({
      reason: ({ event }) =>
        ("data" in event && "reason" in event.data ? event.data.reason : null) ?? null,
    }),
    noteKitchenUnreachable: assign({ reason: "the kitchen could not be reached" }),
    noteKitchenSilent: assign({ reason: "the kitchen did not finish in time" }),
    noteDeliveryUnreachable: assign({ reason: "the delivery service could not be reached" }),
    noteDeliverySilent: assign({ reason: "the delivery did not arrive in time" }),
    noteNeverConfirmed: assign({ reason: "the order was not confirmed in time" }),
    noteNobodyCared: assign({
      reason: ({ context }) => `${context.reason ?? "a failure"}, and nobody decided in time`,
    }),
    announceConfirmed: announce("order.confirmed"),
    announceBaked: announce("order.baked"),
    announceFailed: announce("order.failed"),
    announceDelivered: announce("order.delivered"),
    announceCancelled: announce("order.cancelled"),
    cancelAtKitchen: tell,
    cancelAtDelivery: tell,
  },
  delays: {
    orderingTimeout: 24 * hour,
    kitchenTimeout: 45 * minute,
    ovenTimeout: 30 * minute,
    deliveryTimeout: 90 * minute,
    decisionTimeout: 4 * hour,
  },
}).createMachine({
  id: "order",
  version: "1",
  context: ({ input }) => ({
    customer: input.customer ?? null,
    deliverTo: input.deliverTo ?? null,
    items: [],
    total: { amount: 0, currency: "EUR" },
    status: "ordering",
    reason: null,
  }),
  initial: "orderPizza",
  states: {
    orderPizza: {
      meta: { message: "Choose your pizzas, then confirm." },
      entry: "noteOrdering",
      on: {
        ADD_PIZZA: { guard: "isNewItem", target: "orderPizza", reenter: true, actions: "addItem" },
        REMOVE_PIZZA: {
          guard: "isOrderedItem",
          target: "orderPizza",
          reenter: true,
          actions: "removeItem",
        },
        CONFIRM_PIZZA: { guard: "hasItems", target: "bakePizza", actions: "announceConfirmed" },
        CANCEL_ORDER: { target: "cancelled", actions: "noteReason" },
      },
      after: { orderingTimeout: { target: "cancelled", actions: "noteNeverConfirmed" } },
    },
    bakePizza: {
      meta: { message: "The kitchen has your order." },
      entry: "noteBaking",
      initial: "sendingOrderToKitchen",
      on: {
        PIZZA_READY: { target: "deliverPizza", actions: "announceBaked" },
        PIZZA_FAILED: { target: ".errorInKitchen", actions: "noteReason" },
      },
      states: {
        sendingOrderToKitchen: {
          meta: { message: "Your order is on its way to the kitchen." },
          entry: "noteBaking",
          invoke: {
            id: "orderPizzaFromKitchen",
            src: "orderPizzaFromKitchen",
            input: ({ context }) => ({ items: context.items, deliverTo: context.deliverTo }),
            onDone: "waitingForPizzaToBeBaked",
            onError: { target: "errorInKitchen", actions: "noteKitchenUnreachable" },
          },
          on: {
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen"],
            },
          },
        },
        waitingForPizzaToBeBaked: {
          meta: { message: "Your pizzas are waiting for the oven." },
          on: {
            PIZZA_IN_OVEN: "pizzaInOven",
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen"],
            },
          },
          after: { kitchenTimeout: { target: "errorInKitchen", actions: "noteKitchenSilent" } },
        },
        pizzaInOven: {
          meta: { message: "Your pizzas are in the oven; too late to cancel." },
          entry: "noteBaking",
          after: { ovenTimeout: { target: "errorInKitchen", actions: "noteKitchenSilent" } },
        },
        errorInKitchen: {
          meta: { message: "The kitchen has a problem. Try again, or cancel." },
          entry: ["noteAttention", "announceFailed"],
          on: {
            RETRY: "sendingOrderToKitchen",
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen"],
            },
          },
          after: {
            decisionTimeout: {
              target: "#order.cancelled",
              actions: ["noteNobodyCared", "cancelAtKitchen"],
            },
          },
        },
      },
    },
    deliverPizza: {
      meta: { message: "Your pizzas are baked." },
      entry: "noteDelivering",
      initial: "sendingOrderToDelivery",
      on: {
        PIZZA_DELIVERED: "delivered",
        DELIVERY_FAILED: { target: ".errorInDelivery", actions: "noteReason" },
      },
      states: {
        sendingOrderToDelivery: {
          meta: { message: "We are calling a courier." },
          entry: "noteDelivering",
          invoke: {
            id: "orderDelivery",
            src: "orderDelivery",
            input: ({ context }) => ({ items: context.items, deliverTo: context.deliverTo }),
            onDone: "waitingForPizzaToBeDelivered",
            onError: { target: "errorInDelivery", actions: "noteDeliveryUnreachable" },
          },
        },
        waitingForPizzaToBeDelivered: {
          meta: { message: "Your pizzas are on their way to you." },
          after: { deliveryTimeout: { target: "errorInDelivery", actions: "noteDeliverySilent" } },
        },
        errorInDelivery: {
          meta: { message: "The delivery has a problem. Try again, or cancel." },
          entry: ["noteAttention", "announceFailed"],
          on: {
            RETRY: "sendingOrderToDelivery",
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen", "cancelAtDelivery"],
            },
          },
          after: {
            decisionTimeout: {
              target: "#order.cancelled",
              actions: ["noteNobodyCared", "cancelAtKitchen", "cancelAtDelivery"],
            },
          },
        },
      },
    },
    delivered: {
      meta: { message: "Enjoy your pizzas!" },
      type: "final",
      entry: ["noteDelivered", "announceDelivered"],
    },
    cancelled: {
      meta: { message: "The order was cancelled." },
      type: "final",
      entry: ["noteCancelled", "announceCancelled"],
    },
  },
  output: ({ context }) => ({
    status: context.status,
    total: context.total,
    reason: context.reason,
  }),
});
