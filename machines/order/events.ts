import * as v from "valibot";
import type { EventDefinitions, EventsOf } from "durachart/workflow";

/** An item's id is chosen by the customer's client, so that a repeated request adds nothing. */
const itemId = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,64}$/));
/** A product of the catalog. */
const productId = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,64}$/));
const nothing = v.optional(v.strictObject({}), {});
/** What the customer was shown and agrees to; after a price has changed it is asked for. */
const confirmation = v.optional(
  v.strictObject({
    total: v.optional(
      v.strictObject({
        amount: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
        currency: v.pipe(v.string(), v.regex(/^[A-Z]{3}$/)),
      }),
    ),
  }),
  {},
);
const reason = v.pipe(v.string(), v.minLength(1), v.maxLength(500));
const optionalReason = v.optional(v.strictObject({ reason: v.optional(reason) }), {});

/**
 * What can happen to an order, who may say so, and what becomes of an event that comes at a time
 * when the chart has no use for it (`reject` unless said otherwise). What kitchen and delivery
 * report is ignored then: it is late, repeated or overtaken, and the journal keeps it.
 */
export const orderEvents = {
  ADD_PIZZA: {
    schema: v.strictObject({ id: itemId, pizza: productId }),
    from: ["customer"],
  },
  REMOVE_PIZZA: { schema: v.strictObject({ id: itemId }), from: ["customer"] },
  CONFIRM_PIZZA: { schema: confirmation, from: ["customer"] },
  CANCEL_ORDER: { schema: optionalReason, from: ["customer"] },
  RETRY: { schema: nothing, from: ["customer"] },
  PIZZA_IN_OVEN: { schema: nothing, from: ["service"], otherwise: "ignore" },
  PIZZA_READY: { schema: nothing, from: ["service"], otherwise: "ignore" },
  PIZZA_FAILED: { schema: v.strictObject({ reason }), from: ["service"], otherwise: "ignore" },
  PIZZA_DELIVERED: { schema: nothing, from: ["service"], otherwise: "ignore" },
  DELIVERY_FAILED: { schema: v.strictObject({ reason }), from: ["service"], otherwise: "ignore" },
} as const satisfies EventDefinitions;

export type OrderEvent = EventsOf<typeof orderEvents>;

/** What an order is started with; all of it optional. Without an address it is picked up. */
export const orderInput = v.optional(
  v.strictObject({
    customer: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200))),
    deliverTo: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(500))),
  }),
  {},
);

export type OrderInput = v.InferOutput<typeof orderInput>;
