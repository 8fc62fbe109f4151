import * as v from "valibot";
import type { EventDefinitions, EventsOf } from "durachart/workflow";

/** `amount` is an integer in the currency's minor unit. */
export const money = v.strictObject({
  amount: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  currency: v.pipe(v.string(), v.regex(/^[A-Z]{3}$/)),
});

const reason = v.pipe(v.string(), v.minLength(1), v.maxLength(500));
const nothing = v.optional(v.strictObject({}), {});
const from = ["provider"];

/**
 * What can happen to a payment. What the provider reports may come late, twice and out of order: what is
 * about money waits until the chart has a use for it, and is filed where it never has.
 */
export const paymentEvents = {
  PAYMENT_AUTHORISED: { schema: money, from, otherwise: "ignore" },
  PAYMENT_CAPTURED: { schema: money, from, otherwise: "defer" },
  PAYMENT_REFUNDED: { schema: money, from, otherwise: "defer" },
  PAYMENT_FAILED: { schema: v.strictObject({ reason }), from, otherwise: "ignore" },
  /** A person has looked at a payment that needed attention, and settled it with the provider. */
  SETTLE: { schema: nothing },
} as const satisfies EventDefinitions;

export type PaymentEvent = EventsOf<typeof paymentEvents>;

/** What a payment is started with. */
export const paymentInput = v.strictObject({
  /** What is paid for, such as `orders/o-1`. */
  purpose: v.pipe(v.string(), v.minLength(1), v.maxLength(300)),
  due: money,
});

export type PaymentInput = v.InferOutput<typeof paymentInput>;
export type Money = v.InferOutput<typeof money>;
