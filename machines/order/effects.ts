import { TerminalError, type EffectsOf } from "durachart/workflow";
import type { orderMachine } from "./machine.ts";
import { mailAbout } from "./mails.ts";
import type { Wish } from "./order.ts";
import { taken, whoseOf } from "../neighbours.ts";
import { catalogOf, claimOf, pricesOf, type OrderEnv } from "./stock.ts";

/** A transport takes a message or it doesn't: five tries within a minute or so, then the chart decides. */
const ask = { attempts: 5, timeout: 10_000 };

/** While the catalog is down the customer waits, a quarter of an hour at most. */
const askCatalog = { attempts: 40, timeout: 10_000, backoff: { first: 300, longest: 30_000 } };

/** An order that was confirmed in version 1: nothing was ever reserved for it. */
const isOfBefore = ({ round }: Wish) => round === 0;

export const orderEffects: EffectsOf<typeof orderMachine, OrderEnv> = {
  actors: {
    lookUpProducts: {
      ...askCatalog,
      run: async (context) =>
        taken(await catalogOf(context).look(whoseOf(context), context.input.products)),
    },
    reserveStock: {
      ...askCatalog,
      run: async (context) =>
        taken(
          await catalogOf(context).reserve(
            claimOf(context.input, context),
            pricesOf(context.input),
          ),
        ),
    },
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
    // What is said of one order's stock is said in its order.
    keepStock: {
      destination: "catalog",
      run: async (wish, context) => {
        if (isOfBefore(wish)) return;
        const { kept } = taken(await catalogOf(context).keep(claimOf(wish, context)));
        // The kitchen has the order, and others have bought what was reserved for it: for a person.
        if (!kept) throw new TerminalError("The reservation has ended, and there is nothing left.");
      },
    },
    releaseStock: {
      destination: "catalog",
      run: async (wish, context) => {
        if (isOfBefore(wish)) return;
        taken(await catalogOf(context).release(claimOf(wish, context)));
      },
    },
    useStock: {
      destination: "catalog",
      run: async (wish, context) => {
        if (isOfBefore(wish)) return;
        taken(await catalogOf(context).confirm(claimOf(wish, context)));
      },
    },
  },
  routes: {
    orderlog: ({ type, ...data }, { publish }) => publish("orderlog", { type, data }),
    webhooks: ({ type, ...data }, { publish }) => publish("webhooks", { type, data }),
    mails: async (message, { publish, instance }) => {
      const mail = mailAbout(message, instance);
      if (mail !== null) await publish("mails", { type: "mail.wanted", data: mail });
    },
  },
};
