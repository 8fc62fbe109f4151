import { assertEvent, assign, emit, fromPromise, setup } from "xstate";
import type { Money, Product } from "../../services/contracts/catalog.ts";
import type { OrderEvent, OrderInput } from "./events.ts";
import {
  agrees,
  isPriced,
  mayBeConfirmedUnseen,
  sum,
  unpriced,
  withPrices,
  withShortages,
} from "./lines.ts";
import type { OrderContext, OrderMessage, Reserved, Ticket, Wish } from "./order.ts";

const minute = 60_000;
const hour = 60 * minute;

const announce = (type: OrderMessage["type"]) =>
  emit<OrderContext, OrderEvent, undefined, OrderEvent, OrderMessage>(({ context }) => ({
    type,
    customer: context.customer,
    total: context.total,
    items: context.items.length,
    reason: context.reason,
  }));

/** The chart only names what reaches the world; `effects.ts` says how. */
const reachesTheWorld = <Output, Input>(name: string) =>
  fromPromise<Output, Input>(() => Promise.reject(new Error(`${name} is provided by effects.ts`)));

const tell = () => {};
const claim = (_action: unknown, _wish: Wish) => {};
const wish = ({ context: { round, items } }: { context: OrderContext }): Wish => ({ round, items });
/** The price was agreed on when the order was confirmed. */
const wishAgain = ({ context: { round, items } }: { context: OrderContext }): Wish => ({
  round,
  items: items.map((item) => ({ ...item, price: null })),
});

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
    lookUpProducts: reachesTheWorld<Product[], { products: string[] }>("lookUpProducts"),
    reserveStock: reachesTheWorld<Reserved, Wish>("reserveStock"),
    orderPizzaFromKitchen: reachesTheWorld<void, Ticket>("orderPizzaFromKitchen"),
    orderDelivery: reachesTheWorld<void, Ticket>("orderDelivery"),
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
    // What is said of it (another price, say) is to be seen before it is agreed on.
    canBeConfirmed: ({ context, event }) =>
      context.items.length > 0 && context.reason === null && mayBeConfirmedUnseen(context, event),
    allPriced: ({ context }) => context.items.every(isPriced),
    hasPricedItems: ({ context, event }) =>
      context.items.length > 0 && context.items.every(isPriced) && agrees(context, event),
    hasUnpricedItems: ({ context, event }) =>
      !context.items.every(isPriced) && mayBeConfirmedUnseen(context, event),
    wasConfirmed: ({ context }) =>
      context.isConfirmed && context.items.length > 0 && context.items.every(isPriced),
    isReserved: (_, { reserved }: { reserved: boolean }) => reserved,
  },
  actions: {
    addItem: assign(({ context, event }) => {
      assertEvent(event, "ADD_PIZZA");
      const { id, pizza } = event.data;
      const items = [...context.items, { id, pizza, name: null, price: null }];
      return { items, total: sum(items), reason: null, isConfirmed: false };
    }),
    removeItem: assign(({ context, event }) => {
      assertEvent(event, "REMOVE_PIZZA");
      const items = context.items.filter((item) => item.id !== event.data.id);
      return { items, total: sum(items), reason: null, isConfirmed: false };
    }),
    notePrices: assign(({ context }, { products }: { products: Product[] }) => {
      const priced = withPrices(context.items, products, context.reason);
      // What was confirmed isn't what is there now.
      return { ...priced, isConfirmed: context.isConfirmed && priced.reason === null };
    }),
    noteShortage: assign(({ context }, { output }: { output: Reserved }) =>
      output.reserved ? {} : withShortages(context.items, output.shortages),
    ),
    noteConfirmed: assign({ isConfirmed: true, reason: null }),
    noteCatalogUnreachable: assign({
      reason: "the catalog could not be reached; confirm to try again",
      isConfirmed: false,
    }),
    noteOrdering: assign({ status: "ordering" }),
    noteReserving: assign(({ context }) => ({
      status: "reserving" as const,
      reason: null,
      isConfirmed: false,
      mustAgree: false,
      round: context.round + 1,
    })),
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
    keepStock: claim,
    releaseStock: claim,
    useStock: claim,
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
  version: "2",
  context: ({ input }) => ({
    customer: input.customer ?? null,
    deliverTo: input.deliverTo ?? null,
    items: [],
    total: { amount: 0, currency: "EUR" },
    round: 0,
    isConfirmed: false,
    mustAgree: false,
    status: "ordering",
    reason: null,
  }),
  initial: "orderPizza",
  states: {
    orderPizza: {
      meta: { message: "Choose your pizzas, then confirm." },
      entry: "noteOrdering",
      initial: "choosing",
      on: {
        ADD_PIZZA: { guard: "isNewItem", target: ".pricing", reenter: true, actions: "addItem" },
        REMOVE_PIZZA: {
          guard: "isOrderedItem",
          target: ".pricing",
          reenter: true,
          actions: "removeItem",
        },
        CANCEL_ORDER: { target: "cancelled", actions: "noteReason" },
      },
      after: { orderingTimeout: { target: "cancelled", actions: "noteNeverConfirmed" } },
      states: {
        choosing: {
          meta: { message: "Choose your pizzas, then confirm." },
          always: { guard: "wasConfirmed", target: "#order.reserveStock" },
          on: {
            CONFIRM_PIZZA: [
              { guard: "hasPricedItems", target: "#order.reserveStock" },
              { guard: "hasUnpricedItems", target: "pricing", actions: "noteConfirmed" },
            ],
          },
        },
        pricing: {
          meta: { message: "We are looking up the prices." },
          always: { guard: "allPriced", target: "choosing" },
          invoke: {
            id: "lookUpProducts",
            src: "lookUpProducts",
            input: ({ context }) => ({
              products: unpriced(context.items),
            }),
            onDone: {
              target: "choosing",
              actions: { type: "notePrices", params: ({ event }) => ({ products: event.output }) },
            },
            onError: { target: "choosing", actions: "noteCatalogUnreachable" },
          },
          on: { CONFIRM_PIZZA: { guard: "canBeConfirmed", actions: "noteConfirmed" } },
        },
      },
    },
    reserveStock: {
      meta: { message: "We are setting your pizzas aside." },
      entry: "noteReserving",
      invoke: {
        id: "reserveStock",
        src: "reserveStock",
        input: wish,
        onDone: [
          {
            guard: { type: "isReserved", params: ({ event }) => event.output },
            target: "bakePizza",
            actions: "announceConfirmed",
          },
          {
            target: "orderPizza.pricing",
            actions: { type: "noteShortage", params: ({ event }) => ({ output: event.output }) },
          },
        ],
        onError: {
          target: "orderPizza",
          actions: [{ type: "releaseStock", params: wish }, "noteCatalogUnreachable"],
        },
      },
      on: {
        CANCEL_ORDER: {
          target: "cancelled",
          actions: ["noteReason", { type: "releaseStock", params: wish }],
        },
      },
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
            onDone: {
              target: "waitingForPizzaToBeBaked",
              actions: { type: "keepStock", params: wish },
            },
            onError: { target: "errorInKitchen", actions: "noteKitchenUnreachable" },
          },
          on: {
            // It has baked what we never heard it had accepted.
            PIZZA_READY: {
              target: "#order.deliverPizza",
              actions: [{ type: "keepStock", params: wish }, "announceBaked"],
            },
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen", { type: "releaseStock", params: wish }],
            },
          },
        },
        // What was released when the kitchen failed.
        reservingAgain: {
          meta: { message: "We are setting your pizzas aside once more." },
          entry: "noteReserving",
          invoke: {
            id: "reserveStockAgain",
            src: "reserveStock",
            input: wishAgain,
            onDone: [
              {
                guard: { type: "isReserved", params: ({ event }) => event.output },
                target: "sendingOrderToKitchen",
              },
              {
                target: "errorInKitchen",
                actions: {
                  type: "noteShortage",
                  params: ({ event }) => ({ output: event.output }),
                },
              },
            ],
            onError: { target: "errorInKitchen", actions: "noteCatalogUnreachable" },
          },
          on: {
            // As in errorInKitchen.
            PIZZA_READY: {
              target: "#order.deliverPizza",
              actions: [{ type: "useStock", params: wish }, "announceBaked"],
            },
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen", { type: "releaseStock", params: wish }],
            },
          },
        },
        waitingForPizzaToBeBaked: {
          meta: { message: "Your pizzas are waiting for the oven." },
          on: {
            PIZZA_IN_OVEN: "pizzaInOven",
            CANCEL_ORDER: {
              target: "#order.cancelled",
              actions: ["noteReason", "cancelAtKitchen", { type: "releaseStock", params: wish }],
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
          entry: ["noteAttention", { type: "releaseStock", params: wish }, "announceFailed"],
          on: {
            RETRY: "reservingAgain",
            // It was baked of what has been given back: nobody else may have it.
            PIZZA_READY: {
              target: "#order.deliverPizza",
              actions: [{ type: "useStock", params: wish }, "announceBaked"],
            },
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
              // It is baked: what it was made of is gone.
              actions: [
                "noteReason",
                "cancelAtKitchen",
                "cancelAtDelivery",
                { type: "useStock", params: wish },
              ],
            },
          },
          after: {
            decisionTimeout: {
              target: "#order.cancelled",
              actions: [
                "noteNobodyCared",
                "cancelAtKitchen",
                "cancelAtDelivery",
                { type: "useStock", params: wish },
              ],
            },
          },
        },
      },
    },
    delivered: {
      meta: { message: "Enjoy your pizzas!" },
      type: "final",
      entry: ["noteDelivered", { type: "useStock", params: wish }, "announceDelivered"],
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
