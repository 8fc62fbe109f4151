import type { WorkflowDefinition, Workflows } from "../../src/kernel/workflow.ts";
import { workflows } from "../../machines/index.ts";

/** Something that happens in a story. */
export type Move =
  | { start: { input?: unknown; event?: { type: string; data?: unknown } } }
  | { send: { type: string; data?: unknown }; key?: string }
  | { advance: number };

/** What an actor answers, try by try; the last answer for all that follow. */
export type Answers = Record<string, ("done" | "fails" | "never" | { output: unknown })[]>;

export interface Story {
  moves: Move[];
  answers: Answers;
}

const minute = 60_000;
const hour = 60 * minute;
const pizza = (id: string): Move => ({
  send: { type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } },
  key: `add ${id}`,
});
const start: Move = {
  start: {
    input: { customer: "anna", deliverTo: "Main Street 1" },
    event: { type: "ADD_PIZZA", data: { id: "p1", pizza: "banana-curry" } },
  },
};
/** What the catalog knows, and that it has enough. */
const catalog: Answers = {
  lookUpProducts: [
    {
      output: ["mango-tango", "banana-curry"].map((id) => ({
        ...{ id, name: id === "mango-tango" ? "Mango Tango" : "Banana Curry", description: "" },
        ...{ price: { amount: 1_190, currency: "EUR" }, picture: null, available: true },
      })),
    },
  ],
  reserveStock: [{ output: { reserved: true } }],
};
const soldOut = (line: string) => ({
  output: { reserved: false, shortages: [{ line, product: "banana-curry", why: "sold-out" }] },
});
const euros = (amount: number) => ({ amount, currency: "EUR" });
const registration = (more: object): Move => ({
  start: { input: { user: "user:carla", name: "carla", ...more } },
});
const due: Move = { start: { input: { purpose: "orders/o-1", due: euros(1_190) } } };
const say = (type: string, data: object = {}): Move => ({ send: { type, data }, key: type });

/**
 * Lives that every released version of a workflow is recorded with, by `npm run golden`.
 * What was recorded stays as it is; a new version gets recordings of its own.
 */
export const stories: Partial<Record<keyof typeof workflows, Record<string, Story>>> = {
  orders: {
    delivered: {
      answers: catalog,
      moves: [
        start,
        pizza("p2"),
        { send: { type: "REMOVE_PIZZA", data: { id: "p1" } }, key: "remove" },
        { advance: hour },
        say("CONFIRM_PIZZA"),
        pizza("p3"),
        say("PIZZA_IN_OVEN"),
        { advance: 10 * minute },
        say("PIZZA_READY"),
        say("PIZZA_READY"),
        { advance: 20 * minute },
        say("PIZZA_DELIVERED"),
        say("PIZZA_DELIVERED"),
        { advance: 24 * hour },
      ],
    },
    "troubled and cancelled": {
      answers: {
        ...catalog,
        reserveStock: ["fails", "fails", soldOut("p1"), { output: { reserved: true } }],
        orderPizzaFromKitchen: ["fails", "fails", "done"],
        orderDelivery: ["fails", "fails", "fails", "fails", "fails", "done"],
      },
      moves: [
        start,
        say("CONFIRM_PIZZA"),
        { advance: minute },
        { send: { type: "CONFIRM_PIZZA", data: {} }, key: "confirm again" },
        { advance: 5 * minute },
        say("PIZZA_FAILED", { reason: "burnt" }),
        say("RETRY"),
        { advance: 50 * minute },
        { send: { type: "RETRY", data: {} }, key: "again" },
        say("PIZZA_READY"),
        { advance: 30 * minute },
        { advance: 5 * hour },
        say("CANCEL_ORDER", { reason: "too late" }),
      ],
    },
    "left alone": {
      answers: { ...catalog, lookUpProducts: ["fails"], orderPizzaFromKitchen: ["never"] },
      moves: [
        { start: {} },
        pizza("p1"),
        { advance: 20 * hour },
        pizza("p2"),
        { advance: 23 * hour },
        { advance: 2 * hour },
      ],
    },
  },
  registrations: {
    complete: {
      answers: { drawAvatar: ["fails", { output: { path: "/api/avatars/u-1" } }] },
      moves: [registration({ email: "carla@example.test" }), { advance: minute }],
    },
    incomplete: {
      answers: { sendWelcome: ["fails"], drawAvatar: ["fails"] },
      moves: [
        registration({ email: "carla@example.test" }),
        { advance: 2 * hour },
        { advance: 12 * hour },
      ],
    },
    "without an address": {
      answers: {
        drawAvatar: [{ output: { path: "/api/avatars/u-1" } }],
        reportRegistration: ["fails", "done"],
      },
      moves: [registration({}), { advance: minute }],
    },
  },
  payments: {
    "paid and given back": {
      answers: {},
      moves: [
        due,
        say("PAYMENT_AUTHORISED", euros(1_190)),
        say("PAYMENT_CAPTURED", euros(1_190)),
        { send: { type: "PAYMENT_CAPTURED", data: euros(1_190) }, key: "PAYMENT_CAPTURED" },
        { advance: 24 * hour },
        { send: { type: "PAYMENT_REFUNDED", data: euros(190) }, key: "a part" },
        { send: { type: "PAYMENT_REFUNDED", data: euros(1_000) }, key: "the rest" },
      ],
    },
    "failed, expired, and paid late": {
      answers: {},
      moves: [
        due,
        say("PAYMENT_FAILED", { reason: "card declined" }),
        say("PAYMENT_AUTHORISED", euros(1_190)),
        { advance: 8 * 24 * hour },
        say("PAYMENT_CAPTURED", euros(1_190)),
        { advance: 181 * 24 * hour },
      ],
    },
    "paid wrongly": {
      answers: {},
      moves: [due, say("PAYMENT_CAPTURED", euros(1_000)), say("SETTLE")],
    },
    "never paid": {
      answers: {},
      moves: [due, { advance: hour }, { advance: 31 * 24 * hour }],
    },
  },
};

export function workflowOf(key: string): WorkflowDefinition {
  const entry: Workflows[string] = workflows[key as keyof typeof workflows];
  return "machine" in entry ? entry : { machine: entry };
}
