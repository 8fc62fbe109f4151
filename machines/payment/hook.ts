import * as v from "valibot";
import type { HookDefinition } from "durachart/workflow";
import { money } from "./events.ts";

/** A callback of the provider's. It has more to say than this, and may say more one day. */
const callback = v.object({
  /** The event's id: the same on every repeat. */
  id: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  type: v.string(),
  data: v.object({
    /** The `payments` instance that the payment was made for. */
    reference: v.string(),
    amount: v.optional(money.entries.amount),
    /** In lower case, as payment providers have it. */
    currency: v.optional(v.pipe(v.string(), v.toUpperCase(), v.regex(/^[A-Z]{3}$/))),
    failure: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(500))),
  }),
});

const aboutMoney = new Map([
  ["payment.authorized", "PAYMENT_AUTHORISED"],
  ["payment.captured", "PAYMENT_CAPTURED"],
  ["payment.refunded", "PAYMENT_REFUNDED"],
]);

/** What the provider's callbacks mean to a payment; those that mean nothing to it are left alone. */
export const paymentHook = {
  signature: { scheme: "timestamped", header: "Payment-Signature" },
  schema: callback,
  map({ id, type, data: { reference, amount, currency, failure } }) {
    const about = { workflow: "payments", id: reference, key: id };
    if (type === "payment.failed") {
      const data = { reason: failure ?? "the provider gave no reason" };
      return { ...about, type: "PAYMENT_FAILED", data };
    }
    const event = aboutMoney.get(type);
    return event === undefined ? null : { ...about, type: event, data: { amount, currency } };
  },
} satisfies HookDefinition<v.InferOutput<typeof callback>>;
