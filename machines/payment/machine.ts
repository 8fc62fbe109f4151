import { assertEvent, assign, emit, setup } from "xstate";
import type { Money, PaymentEvent, PaymentInput } from "./events.ts";

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

interface PaymentContext {
  purpose: string;
  due: Money;
  /** What the provider has taken, and of that given back, in the minor unit of what is due. */
  captured: number;
  refunded: number;
  /** Why it failed or needs attention. */
  reason: string | null;
}

type PaymentMessage = {
  type:
    | "payment.captured"
    | "payment.failed"
    | "payment.expired"
    | "payment.refunded"
    | "payment.needs-attention";
  purpose: string;
  due: Money;
  captured: number;
  refunded: number;
  reason: string | null;
};

const announce = (type: PaymentMessage["type"]) =>
  emit<PaymentContext, PaymentEvent, undefined, PaymentEvent, PaymentMessage>(({ context }) => ({
    type,
    ...context,
  }));

/** One payment, as its provider's callbacks tell of it. */
export const paymentMachine = setup({
  types: {} as {
    context: PaymentContext;
    events: PaymentEvent;
    input: PaymentInput;
    emitted: PaymentMessage;
    output: { captured: number; refunded: number; reason: string | null };
    meta: { message: string };
  },
  guards: {
    isWhatIsDue: ({ context, event }) => {
      assertEvent(event, "PAYMENT_CAPTURED");
      const { amount, currency } = event.data;
      return amount === context.due.amount && currency === context.due.currency;
    },
    refundsTheRest: ({ context, event }) => {
      assertEvent(event, "PAYMENT_REFUNDED");
      const { amount, currency } = event.data;
      return currency === context.due.currency && context.refunded + amount === context.captured;
    },
    refundsAPart: ({ context, event }) => {
      assertEvent(event, "PAYMENT_REFUNDED");
      const { amount, currency } = event.data;
      return currency === context.due.currency && context.refunded + amount < context.captured;
    },
  },
  actions: {
    noteCaptured: assign({
      captured: ({ context, event }) => {
        assertEvent(event, "PAYMENT_CAPTURED");
        return context.captured + event.data.amount;
      },
    }),
    noteRefunded: assign({
      refunded: ({ context, event }) => {
        assertEvent(event, "PAYMENT_REFUNDED");
        return context.refunded + event.data.amount;
      },
    }),
    noteReason: assign({
      reason: ({ event }) => {
        assertEvent(event, "PAYMENT_FAILED");
        return event.data.reason;
      },
    }),
    noteWrongAmount: assign({
      reason: ({ event }) => {
        assertEvent(event, ["PAYMENT_CAPTURED", "PAYMENT_REFUNDED"]);
        const { amount, currency } = event.data;
        return `${event.type} of ${amount} ${currency} is not what it can be`;
      },
    }),
    announceCaptured: announce("payment.captured"),
    announceFailed: announce("payment.failed"),
    announceExpired: announce("payment.expired"),
    announceRefunded: announce("payment.refunded"),
    announceAttention: announce("payment.needs-attention"),
  },
  delays: {
    payingTimeout: 30 * minute,
    captureTimeout: 7 * day,
    lateMoneyTimeout: 30 * day,
    refundTimeout: 180 * day,
  },
}).createMachine({
  id: "payment",
  version: "1",
  context: ({ input }) => ({ ...input, captured: 0, refunded: 0, reason: null }),
  initial: "awaitingProvider",
  states: {
    awaitingProvider: {
      meta: { message: "Pay with the provider." },
      on: {
        PAYMENT_AUTHORISED: "authorised",
        PAYMENT_CAPTURED: [
          { guard: "isWhatIsDue", target: "captured", actions: "noteCaptured" },
          { target: "needsAttention", actions: ["noteCaptured", "noteWrongAmount"] },
        ],
        PAYMENT_FAILED: { target: "failed", actions: "noteReason" },
      },
      after: { payingTimeout: "expired" },
    },
    authorised: {
      meta: { message: "The provider has your consent." },
      on: {
        PAYMENT_CAPTURED: [
          { guard: "isWhatIsDue", target: "captured", actions: "noteCaptured" },
          { target: "needsAttention", actions: ["noteCaptured", "noteWrongAmount"] },
        ],
        PAYMENT_FAILED: { target: "failed", actions: "noteReason" },
      },
      after: { captureTimeout: "expired" },
    },
    captured: {
      meta: { message: "Paid." },
      entry: "announceCaptured",
      on: {
        PAYMENT_REFUNDED: [
          { guard: "refundsTheRest", target: "refunded", actions: "noteRefunded" },
          { guard: "refundsAPart", actions: ["noteRefunded", "announceRefunded"] },
          { target: "needsAttention", actions: "noteWrongAmount" },
        ],
        // Twice is once too often: somebody must give it back.
        PAYMENT_CAPTURED: {
          target: "needsAttention",
          actions: ["noteCaptured", "noteWrongAmount"],
        },
      },
      after: { refundTimeout: "settled" },
    },
    expired: {
      meta: { message: "It was not paid in time." },
      entry: "announceExpired",
      on: {
        PAYMENT_CAPTURED: [
          { guard: "isWhatIsDue", target: "captured", actions: "noteCaptured" },
          { target: "needsAttention", actions: ["noteCaptured", "noteWrongAmount"] },
        ],
      },
      after: { lateMoneyTimeout: "unpaid" },
    },
    failed: {
      meta: { message: "The provider could not take the payment; it may still be tried again." },
      entry: "announceFailed",
      on: {
        PAYMENT_AUTHORISED: "authorised",
        PAYMENT_CAPTURED: [
          { guard: "isWhatIsDue", target: "captured", actions: "noteCaptured" },
          { target: "needsAttention", actions: ["noteCaptured", "noteWrongAmount"] },
        ],
      },
      after: { lateMoneyTimeout: "unpaid" },
    },
    needsAttention: {
      meta: { message: "Somebody is looking at your payment." },
      entry: "announceAttention",
      on: { SETTLE: "settled" },
    },
    refunded: {
      meta: { message: "You have your money back." },
      type: "final",
      entry: "announceRefunded",
    },
    settled: { meta: { message: "Paid." }, type: "final" },
    unpaid: { meta: { message: "It was not paid." }, type: "final" },
  },
  output: ({ context: { captured, refunded, reason } }) => ({ captured, refunded, reason }),
});
