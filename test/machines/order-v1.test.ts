import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { orderMachine } from "../../machines/order/v1/machine.ts";
import { orderEvents } from "../../machines/order/v1/events.ts";
import { allNodes } from "../../src/kernel/allowed.ts";
import { Driver } from "../support/drive.ts";

type Move = string | { type: string; data: unknown };
const add = (id: string): Move => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const remove = (id: string): Move => ({ type: "REMOVE_PIZZA", data: { id } });
const failed = { type: "PIZZA_FAILED", data: { reason: "cold oven" } };
const lost = { type: "DELIVERY_FAILED", data: { reason: "flat tyre" } };

/** Pseudo-moves: what isn't an event from outside. */
const ACTOR_DONE = "(actor done)";
const ACTOR_FAILED = "(actor failed)";
const TIME_PASSES = "(time passes)";

const error = { error: { name: "Error", message: "no" } };

function make(order: Driver, move: Move): boolean {
  if (move === ACTOR_DONE) return order.settle({ output: null });
  if (move === ACTOR_FAILED) return order.settle(error);
  if (move === TIME_PASSES) return order.fireNextTimer();
  if (typeof move === "string") return order.send(move, {});
  return order.send(move.type, move.data);
}

function orderAfter(moves: readonly Move[]): Driver {
  const order = new Driver(orderMachine);
  for (const move of moves) {
    if (!make(order, move)) throw new Error(`${JSON.stringify(move)} was not taken`);
  }
  return order;
}

const confirmed: Move[] = [add("p1"), "CONFIRM_PIZZA"];
const waiting = [...confirmed, ACTOR_DONE];
const inOven = [...waiting, "PIZZA_IN_OVEN"];
const kitchenError = [...waiting, failed];
const baked = [...waiting, "PIZZA_READY"];
const underway = [...baked, ACTOR_DONE];
const deliveryError = [...underway, lost];

const bake = (state: string) => ({ bakePizza: state });
const deliver = (state: string) => ({ deliverPizza: state });

/** Every way through the chart: where it starts, what happens, where it ends, what leaves. */
const transitions: [string, Move[], unknown, string[]][] = [
  ["begins", [], "orderPizza", []],
  ["adds", [add("p1"), add("p2")], "orderPizza", []],
  ["removes", [add("p1"), remove("p1")], "orderPizza", []],
  ["cancels while choosing", ["CANCEL_ORDER"], "cancelled", ["order.cancelled"]],
  ["is never confirmed", [add("p1"), TIME_PASSES], "cancelled", ["order.cancelled"]],
  ["confirms", confirmed, bake("sendingOrderToKitchen"), ["order.confirmed"]],
  ["reaches the kitchen", waiting, bake("waitingForPizzaToBeBaked"), ["order.confirmed"]],
  [
    "cannot reach the kitchen",
    [...confirmed, ACTOR_FAILED],
    bake("errorInKitchen"),
    ["order.confirmed", "order.failed"],
  ],
  [
    "cancels while the kitchen is told",
    [...confirmed, "CANCEL_ORDER"],
    "cancelled",
    ["order.confirmed", "cancelAtKitchen", "order.cancelled"],
  ],
  [
    "cancels before the oven",
    [...waiting, "CANCEL_ORDER"],
    "cancelled",
    ["order.confirmed", "cancelAtKitchen", "order.cancelled"],
  ],
  [
    "waits in vain for the kitchen",
    [...waiting, TIME_PASSES],
    bake("errorInKitchen"),
    ["order.confirmed", "order.failed"],
  ],
  ["goes into the oven", inOven, bake("pizzaInOven"), ["order.confirmed"]],
  [
    "stays in the oven too long",
    [...inOven, TIME_PASSES],
    bake("errorInKitchen"),
    ["order.confirmed", "order.failed"],
  ],
  [
    "fails in the kitchen",
    kitchenError,
    bake("errorInKitchen"),
    ["order.confirmed", "order.failed"],
  ],
  [
    "asks the kitchen again",
    [...kitchenError, "RETRY"],
    bake("sendingOrderToKitchen"),
    ["order.confirmed", "order.failed"],
  ],
  [
    "cancels after the kitchen failed",
    [...kitchenError, "CANCEL_ORDER"],
    "cancelled",
    ["order.confirmed", "order.failed", "cancelAtKitchen", "order.cancelled"],
  ],
  [
    "is given up after the kitchen failed",
    [...kitchenError, TIME_PASSES],
    "cancelled",
    ["order.confirmed", "order.failed", "cancelAtKitchen", "order.cancelled"],
  ],
  ["is baked", baked, deliver("sendingOrderToDelivery"), ["order.confirmed", "order.baked"]],
  [
    "finds a courier",
    underway,
    deliver("waitingForPizzaToBeDelivered"),
    ["order.confirmed", "order.baked"],
  ],
  [
    "finds no courier",
    [...baked, ACTOR_FAILED],
    deliver("errorInDelivery"),
    ["order.confirmed", "order.baked", "order.failed"],
  ],
  [
    "waits in vain for the courier",
    [...underway, TIME_PASSES],
    deliver("errorInDelivery"),
    ["order.confirmed", "order.baked", "order.failed"],
  ],
  [
    "asks for another courier",
    [...deliveryError, "RETRY"],
    deliver("sendingOrderToDelivery"),
    ["order.confirmed", "order.baked", "order.failed"],
  ],
  [
    "cancels after the delivery failed",
    [...deliveryError, "CANCEL_ORDER"],
    "cancelled",
    [
      ...["order.confirmed", "order.baked", "order.failed"],
      ...["cancelAtKitchen", "cancelAtDelivery", "order.cancelled"],
    ],
  ],
  [
    "is given up after the delivery failed",
    [...deliveryError, TIME_PASSES],
    "cancelled",
    [
      ...["order.confirmed", "order.baked", "order.failed"],
      ...["cancelAtKitchen", "cancelAtDelivery", "order.cancelled"],
    ],
  ],
  [
    "is delivered",
    [...underway, "PIZZA_DELIVERED"],
    "delivered",
    ["order.confirmed", "order.baked", "order.delivered"],
  ],
];

describe("an order of version 1", () => {
  it.each(transitions)("%s", (_, moves, state, sent) => {
    const order = orderAfter(moves);
    expect(order.value).toEqual(state);
    expect(order.sent).toEqual(sent);
  });

  it("has no transition that these ways leave out", () => {
    const taken = new Set(transitions.flatMap(([, moves]) => [...orderAfter(moves).selected]));
    const drawn = allNodes(orderMachine.root).flatMap((node) =>
      [...node.transitions.keys()].map((type) => `${node.id} ${type}`),
    );
    expect([...taken].toSorted()).toEqual(drawn.toSorted());
  });

  it("adds up what is in the box, in cents", () => {
    const order = orderAfter([add("p1"), add("p2"), remove("p1")]);
    expect(order.context).toMatchObject({
      total: { amount: 1190, currency: "EUR" },
      items: [{ id: "p2", name: "Mango Tango", price: { amount: 1190, currency: "EUR" } }],
    });
  });

  it.each<[string, Move[], Move]>([
    ["an item twice", [add("p1")], add("p1")],
    ["a 51st item", Array.from({ length: 50 }, (_, index) => add(`p${index}`)), add("p50")],
    ["removing what is not there", [add("p1")], remove("p2")],
    ["confirming nothing", [], "CONFIRM_PIZZA"],
    ["cancelling in the oven", inOven, "CANCEL_ORDER"],
    ["cancelling on the road", underway, "CANCEL_ORDER"],
    ["a late PIZZA_READY", [...waiting, "CANCEL_ORDER"], "PIZZA_READY"],
  ])("does not take %s", (_, moves, move) => {
    expect(make(orderAfter(moves), move)).toBe(false);
  });

  it("takes a pizza that is ready after all", () => {
    expect(orderAfter([...kitchenError, "PIZZA_READY"]).value).toEqual(
      deliver("sendingOrderToDelivery"),
    );
  });

  it("says why it needs attention", () => {
    expect(orderAfter(kitchenError).context["reason"]).toBe("cold oven");
    expect(orderAfter([...waiting, TIME_PASSES]).context["reason"]).toMatch(
      /did not finish in time/,
    );
    expect(orderAfter([...kitchenError, "RETRY"]).context["reason"]).toBeNull();
  });

  it("starts its deadline anew with each pizza", () => {
    const order = orderAfter([add("p1")]);
    order.now = 1_000;
    make(order, add("p2"));
    expect(order.timers).toMatchObject([{ at: 24 * 3_600_000 + 1_000 }]);
  });
});

describe("the chart of version 1", () => {
  const leaves = allNodes(orderMachine.root).filter(
    (node) => Object.keys(node.states).length === 0 && node.type !== "final",
  );

  it.each(leaves.map((node) => [node.id, node] as const))(
    "never waits for ever in %s",
    (_, node) => {
      const hasDeadline = [...node.transitions.keys()].some((type) =>
        type.startsWith("xstate.after."),
      );
      // An actor's tries and time are limited by its policy; both of its ends must lead on.
      const actor = node.invoke[0];
      const ends = ["done", "error"].map((end) => `xstate.${end}.actor.${actor?.id}`);
      const isEnded = actor !== undefined && ends.every((type) => node.transitions.has(type));
      expect(hasDeadline || isEnded).toBe(true);
    },
  );

  it("offers a way on in every error state", () => {
    const errors = leaves.filter((node) => node.key.startsWith("error"));
    expect(errors).toHaveLength(2);
    for (const node of errors)
      expect(node.ownEvents).toEqual(expect.arrayContaining(["RETRY", "CANCEL_ORDER"]));
  });

  it("has a message for people in every state, and a schema for every event", () => {
    for (const node of allNodes(orderMachine.root).slice(1)) {
      expect(node.meta).toHaveProperty("message");
    }
    expect(Object.keys(orderEvents).toSorted()).toEqual(
      orderMachine.events.filter((type) => !type.startsWith("xstate.")).toSorted(),
    );
  });
});

describe("any history of an order of version 1", () => {
  const moves: Move[] = [
    ...["p1", "p2", "p3"].flatMap((id) => [add(id), remove(id)]),
    // In the order of a good day: what makes sense next is what comes next.
    ...["CONFIRM_PIZZA", "RETRY", ACTOR_DONE, "PIZZA_IN_OVEN", "PIZZA_READY", "PIZZA_DELIVERED"],
    ...[failed, lost, ACTOR_FAILED],
  ];
  const endings: Move[] = ["CANCEL_ORDER", TIME_PASSES];
  /** Mostly something that makes sense where it comes, so that histories get far; now and then anything. */
  const choice = fc.record({
    first: fc.nat({ max: moves.length - 1 }),
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant("sensible") },
      { weight: 4, arbitrary: fc.constant("any") },
      { weight: 1, arbitrary: fc.constant("ending") },
    ),
    evict: fc.boolean(),
  });
  const history = fc.array(choice, { minLength: 1, maxLength: 60, size: "max" });
  const seen = new Map<string, number>();

  it("keeps its promises, whatever comes, in whatever order, with evictions between", () => {
    fc.assert(
      fc.property(history, (choices) => {
        const order = new Driver(orderMachine);
        let isReady = false;
        let isKitchenTold = false;
        for (const { first, kind, evict } of choices) {
          const { status } = order.state.snapshot;
          const inTurn = [...moves.slice(first), ...moves.slice(0, first)];
          const tried = { sensible: inTurn, any: inTurn.slice(0, 1), ending: endings }[kind]!;
          const move = tried.find((one) => make(order, one));
          const taken = move !== undefined;
          if (status !== "active") expect(taken).toBe(false);
          if (move === "PIZZA_READY") isReady = true;
          if (move === "CONFIRM_PIZZA") isKitchenTold = true;
          if (evict) order.evict();

          const state = JSON.stringify(order.value);
          seen.set(state, (seen.get(state) ?? 0) + 1);
          const items = order.context["items"] as { id: string; price: { amount: number } }[];
          expect(new Set(items.map((item) => item.id)).size).toBe(items.length);
          const total = items.reduce((sum, item) => sum + item.price.amount, 0);
          expect(order.context["total"]).toEqual({ amount: total, currency: "EUR" });
          // Never delivered unbaked, and never baked unordered.
          if (state.includes("deliver")) expect(isReady && items.length > 0).toBe(true);
          // Nobody bakes a cancelled order: the kitchen is told whenever it may know of it.
          if (state === '"cancelled"' && isKitchenTold)
            expect(order.sent).toContain("cancelAtKitchen");
          // No state without a way out: a deadline or an actor whose end is certain.
          if (order.state.snapshot.status === "active") {
            expect(order.timers.length + order.running.length).toBeGreaterThan(0);
          } else {
            expect([...order.timers, ...order.running]).toEqual([]);
          }
        }
        // Left alone, it comes to an end by itself.
        for (let left = 20; order.state.snapshot.status === "active"; left--) {
          expect(left).toBeGreaterThan(0);
          if (!order.settle(error)) order.fireNextTimer();
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("has been everywhere", () => {
    expect(seen.size).toBe(10);
    for (const visits of seen.values()) expect(visits).toBeGreaterThan(20);
  });
});
