import { describe, expect, it } from "vitest";
import type { JournalEntry, View } from "../../../src/contract/view.ts";
import { audit, type Seen } from "./audit.ts";

const entry = (
  type: string,
  state: JournalEntry["state"],
  id?: string,
): Omit<JournalEntry, "seq"> => ({
  ...{ epoch: 1, at: "", outcome: "applied", by: "x", changes: {}, state },
  event: {
    type,
    ...(id === undefined ? {} : { attributes: { source: "/kitchen", id } }),
  },
});

const rest = {
  ...{ id: "o", state: "delivered", pending: 0, actors: [], incidents: [], retrying: [] },
  timerCount: 0,
} as unknown as View;

const receipt = (type: string, id: string) => ({
  ...{ delivery: `d-${id}`, isSigned: true },
  event: { source: "/orders/o", id, type, subject: "orders/o" },
});

/** A run in which every promise was kept. */
function kept(): Seen & { journal: JournalEntry[]; view: View } {
  const journal = [
    entry("durachart.started", "orderPizza"),
    entry("ADD_PIZZA", "orderPizza"),
    entry("CONFIRM_PIZZA", { bakePizza: "sendingOrderToKitchen" }),
    entry("xstate.done.actor.orderPizzaFromKitchen", { bakePizza: "waitingForPizzaToBeBaked" }),
    entry("PIZZA_READY", { deliverPizza: "sendingOrderToDelivery" }, "1"),
    entry("xstate.done.actor.orderDelivery", { deliverPizza: "waitingForPizzaToBeDelivered" }),
    entry("PIZZA_DELIVERED", "delivered", "2"),
  ].map((one, index) => ({ ...one, seq: index + 1 }));
  const of = { view: { ...rest }, journal };
  return {
    ...of,
    orders: new Map([["o", of]]),
    told: ["ADD_PIZZA", "CONFIRM_PIZZA"].map((type) => ({ order: "o", type })),
    done: [
      { station: "kitchen", order: "o", type: "PIZZA_READY" },
      { station: "delivery", order: "o", type: "PIZZA_DELIVERED" },
    ],
    receipts: [
      receipt("order.confirmed", "1"),
      // A repeat under the same ids is fine.
      receipt("order.confirmed", "1"),
      receipt("order.baked", "2"),
      receipt("order.delivered", "3"),
    ],
    taken: { kitchen: ["/orders/o 1-1"], delivery: ["/orders/o 1-2"] },
    reported: { kitchen: 1, delivery: 1 },
    left: { "dead letters": 0 },
    logged: 3,
  };
}

const reliable = { isForgetful: false };

describe("the checker of the shop's runs", () => {
  it("finds nothing where every promise was kept, and counts what there was", () => {
    expect(audit(kept(), reliable)).toEqual({
      ...{ violations: [], lost: 0, twice: 0, stuck: 0, events: 2, delivered: 1, cancelled: 0 },
      ...{ failures: 0, deadlines: 0, repeats: 1 },
      toStations: { sent: 2, vanished: 0 },
      toOrders: { sent: 2, vanished: 0 },
      webhooks: { sent: 3, vanished: 0 },
      orderLog: { sent: 3, vanished: 0 },
    });
  });

  it.each<[string, (seen: ReturnType<typeof kept>) => void, RegExp]>([
    ["an event that was answered and is gone", ({ journal }) => journal.splice(1, 1), /gaps/],
    [
      "an answered event that is not there",
      ({ told }) => told.push({ order: "o", type: "RETRY" }),
      /RETRY was answered 1 times, is there 0/,
    ],
    [
      "an event that was applied twice",
      ({ journal }) => journal.splice(2, 0, { ...journal[1]!, seq: 3 }),
      /ADD_PIZZA was answered 1 times, is there 2/,
    ],
    [
      "a report that came in twice",
      ({ journal }) => journal.push({ ...journal[4]!, seq: 8, outcome: "ignored" }),
      /the same report is in the journal more than once/,
    ],
    [
      "a job that was done twice",
      ({ done }) => done.push({ station: "kitchen", order: "o", type: "PIZZA_READY" }),
      /PIZZA_READY was done 2 times/,
    ],
    [
      "a report that nobody has made",
      ({ done }) => done.splice(0, 1),
      /applied, and nobody has done it/,
    ],
    [
      "a ticket under two ids",
      ({ taken }) => taken.kitchen.push("/orders/o 1-9"),
      /the kitchen was asked 1 times, by 2 messages/,
    ],
    ["an order that is stuck", ({ view }) => Object.assign(view, { pending: 1 }), /o is stuck/],
    [
      "an order that never ended",
      ({ view }) => Object.assign(view, { state: { bakePizza: "pizzaInOven" } }),
      /o is stuck/,
    ],
    [
      "a webhook under two ids",
      ({ receipts }) => Object.assign(receipts[1]!, { delivery: "d-9" }),
      /2 webhooks for 1 events/,
    ],
    [
      "an event that was emitted twice",
      ({ receipts }) => receipts.push(receipt("order.baked", "9")),
      /order.baked was emitted 1 times/,
    ],
    [
      "a webhook that is not signed",
      ({ receipts }) => Object.assign(receipts[0]!, { isSigned: false }),
      /not signed/,
    ],
    ["what is left over", ({ left }) => Object.assign(left, { "dead letters": 2 }), /2 left/],
  ])("finds %s", (_, spoil, message) => {
    const seen = kept();
    spoil(seen);
    expect(audit(seen, reliable).violations.join("\n")).toMatch(message);
  });

  it.each<[string, (seen: ReturnType<typeof kept>) => void, object]>([
    [
      "a ticket that never came",
      ({ taken }) => taken.kitchen.pop(),
      { toStations: { sent: 2, vanished: 1 } },
    ],
    [
      "a report that never came",
      ({ reported }) => Object.assign(reported, { kitchen: 2 }),
      { toOrders: { sent: 3, vanished: 1 } },
    ],
    [
      "a webhook that never came",
      ({ receipts }) => receipts.pop(),
      { webhooks: { sent: 3, vanished: 1 } },
    ],
  ])("counts %s", (_, spoil, counted) => {
    const seen = kept();
    spoil(seen);
    const found = audit(seen, reliable);
    expect(found).toMatchObject(counted);
    expect(found.violations.join("\n")).toMatch(/: 1 of [23] never arrived/);
  });

  it("lets queues forget messages, but no webhook", () => {
    const seen = kept();
    seen.taken.kitchen.pop();
    seen.reported.kitchen = 2;
    expect(audit(seen, { isForgetful: true }).violations).toEqual([]);
    seen.receipts.pop();
    expect(audit(seen, { isForgetful: true }).violations).toEqual([
      "webhooks: 1 of 3 never arrived",
    ]);
  });
});
