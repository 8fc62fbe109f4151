import { describe, expect, it } from "vitest";
import { orderMachine } from "../../machines/order/machine.ts";
import { orderEvents } from "../../machines/order/events.ts";
import { allNodes } from "../../src/kernel/allowed.ts";
import {
  type Move,
  add,
  remove,
  failed,
  lost,
  ACTOR_DONE,
  PRICED,
  UNKNOWN,
  RESERVED,
  SOLD_OUT,
  DEARER,
  ACTOR_FAILED,
  TIME_PASSES,
  make,
  orderAfter,
} from "../support/order-moves.ts";

const agreeTo = (amount: number): Move => ({
  ...{ type: "CONFIRM_PIZZA", data: { total: { amount, currency: "EUR" } } },
});
const priced: Move[] = [add("p1"), PRICED];
const reserving: Move[] = [...priced, "CONFIRM_PIZZA"];
const confirmed = [...reserving, RESERVED];
const waiting = [...confirmed, ACTOR_DONE];
const inOven = [...waiting, "PIZZA_IN_OVEN"];
const kitchenError = [...waiting, failed];
const reservingAgain = [...kitchenError, "RETRY"];
const baked = [...waiting, "PIZZA_READY"];
const underway = [...baked, ACTOR_DONE];
const deliveryError = [...underway, lost];

const choose = (state: string) => ({ orderPizza: state });
const bake = (state: string) => ({ bakePizza: state });
const deliver = (state: string) => ({ deliverPizza: state });

const told = ["order.confirmed", "keepStock"];
const troubled = [...told, "releaseStock", "order.failed"];
const given = [...told, "order.baked"];

/** Every way through the chart: where it starts, what happens, where it ends, what leaves. */
const transitions: [string, Move[], unknown, string[]][] = [
  ["begins", [], choose("choosing"), []],
  ["asks for prices", [add("p1"), add("p2")], choose("pricing"), []],
  ["is told prices", priced, choose("choosing"), []],
  ["removes before it was priced", [add("p1"), remove("p1")], choose("choosing"), []],
  ["removes", [...priced, remove("p1")], choose("choosing"), []],
  ["finds no such product", [add("p1"), UNKNOWN], choose("choosing"), []],
  ["cannot reach the catalog", [add("p1"), ACTOR_FAILED], choose("choosing"), []],
  [
    "asks for prices again when it is confirmed",
    [add("p1"), ACTOR_FAILED, "CONFIRM_PIZZA"],
    choose("pricing"),
    [],
  ],
  ["waits for prices to be confirmed", [add("p1"), "CONFIRM_PIZZA"], choose("pricing"), []],
  [
    "is confirmed as soon as it is priced",
    [add("p1"), "CONFIRM_PIZZA", PRICED],
    "reserveStock",
    [],
  ],
  [
    "is not confirmed with what the shop doesn't have",
    [...priced, add("p2"), "CONFIRM_PIZZA", UNKNOWN],
    // The catalog was asked for what has no price: p1 has one.
    choose("choosing"),
    [],
  ],
  ["cancels while choosing", ["CANCEL_ORDER"], "cancelled", ["order.cancelled"]],
  ["is never confirmed", [...priced, TIME_PASSES], "cancelled", ["order.cancelled"]],
  ["confirms", reserving, "reserveStock", []],
  ["finds it sold out", [...reserving, SOLD_OUT], choose("choosing"), []],
  ["finds it dearer", [...reserving, DEARER], choose("pricing"), []],
  ["cannot reserve", [...reserving, ACTOR_FAILED], choose("choosing"), ["releaseStock"]],
  [
    "cancels while it reserves",
    [...reserving, "CANCEL_ORDER"],
    "cancelled",
    ["releaseStock", "order.cancelled"],
  ],
  ["reserves", confirmed, bake("sendingOrderToKitchen"), ["order.confirmed"]],
  ["reaches the kitchen", waiting, bake("waitingForPizzaToBeBaked"), told],
  [
    "cannot reach the kitchen",
    [...confirmed, ACTOR_FAILED],
    bake("errorInKitchen"),
    ["order.confirmed", "releaseStock", "order.failed"],
  ],
  [
    "cancels while the kitchen is told",
    [...confirmed, "CANCEL_ORDER"],
    "cancelled",
    ["order.confirmed", "cancelAtKitchen", "releaseStock", "order.cancelled"],
  ],
  [
    "is baked before the kitchen has answered",
    [...confirmed, "PIZZA_READY"],
    deliver("sendingOrderToDelivery"),
    given,
  ],
  [
    "cancels before the oven",
    [...waiting, "CANCEL_ORDER"],
    "cancelled",
    [...told, "cancelAtKitchen", "releaseStock", "order.cancelled"],
  ],
  ["waits in vain for the kitchen", [...waiting, TIME_PASSES], bake("errorInKitchen"), troubled],
  ["goes into the oven", inOven, bake("pizzaInOven"), told],
  ["stays in the oven too long", [...inOven, TIME_PASSES], bake("errorInKitchen"), troubled],
  ["fails in the kitchen", kitchenError, bake("errorInKitchen"), troubled],
  ["tries again", reservingAgain, bake("reservingAgain"), troubled],
  [
    "asks the kitchen again",
    [...reservingAgain, RESERVED],
    bake("sendingOrderToKitchen"),
    troubled,
  ],
  [
    "finds it sold out when it tries again",
    [...reservingAgain, SOLD_OUT],
    bake("errorInKitchen"),
    [...troubled, "releaseStock", "order.failed"],
  ],
  [
    "cannot reserve when it tries again",
    [...reservingAgain, ACTOR_FAILED],
    bake("errorInKitchen"),
    [...troubled, "releaseStock", "order.failed"],
  ],
  [
    "cancels while it tries again",
    [...reservingAgain, "CANCEL_ORDER"],
    "cancelled",
    [...troubled, "cancelAtKitchen", "releaseStock", "order.cancelled"],
  ],
  [
    "cancels after the kitchen failed",
    [...kitchenError, "CANCEL_ORDER"],
    "cancelled",
    [...troubled, "cancelAtKitchen", "order.cancelled"],
  ],
  [
    "is given up after the kitchen failed",
    [...kitchenError, TIME_PASSES],
    "cancelled",
    [...troubled, "cancelAtKitchen", "order.cancelled"],
  ],
  [
    "is baked after the kitchen failed, and what was given back is used up",
    [...kitchenError, "PIZZA_READY"],
    deliver("sendingOrderToDelivery"),
    [...troubled, "useStock", "order.baked"],
  ],
  [
    "is baked while it tries again",
    [...reservingAgain, "PIZZA_READY"],
    deliver("sendingOrderToDelivery"),
    [...troubled, "useStock", "order.baked"],
  ],
  ["is baked", baked, deliver("sendingOrderToDelivery"), given],
  ["finds a courier", underway, deliver("waitingForPizzaToBeDelivered"), given],
  [
    "finds no courier",
    [...baked, ACTOR_FAILED],
    deliver("errorInDelivery"),
    [...given, "order.failed"],
  ],
  [
    "waits in vain for the courier",
    [...underway, TIME_PASSES],
    deliver("errorInDelivery"),
    [...given, "order.failed"],
  ],
  [
    "asks for another courier",
    [...deliveryError, "RETRY"],
    deliver("sendingOrderToDelivery"),
    [...given, "order.failed"],
  ],
  [
    "cancels after the delivery failed, and what was baked is used up",
    [...deliveryError, "CANCEL_ORDER"],
    "cancelled",
    [
      ...[...given, "order.failed", "cancelAtKitchen", "cancelAtDelivery"],
      ...["useStock", "order.cancelled"],
    ],
  ],
  [
    "is given up after the delivery failed",
    [...deliveryError, TIME_PASSES],
    "cancelled",
    [
      ...[...given, "order.failed", "cancelAtKitchen", "cancelAtDelivery"],
      ...["useStock", "order.cancelled"],
    ],
  ],
  [
    "is delivered",
    [...underway, "PIZZA_DELIVERED"],
    "delivered",
    [...given, "useStock", "order.delivered"],
  ],
];

describe("an order", () => {
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
    const order = orderAfter([add("p1"), PRICED, add("p2"), PRICED, remove("p1")]);
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
    expect(orderAfter(reservingAgain).context["reason"]).toBeNull();
    expect(orderAfter([...reserving, SOLD_OUT]).context["reason"]).toBe("Mango Tango is sold out");
    expect(orderAfter([...reserving, DEARER]).context["reason"]).toMatch(/has another price now/);
    expect(orderAfter([add("p1"), UNKNOWN]).context["reason"]).toBe("the shop has no mango-tango");
  });

  it("reserves in a new round each time, and what was agreed on keeps its price", () => {
    const order = orderAfter([...reserving, DEARER, PRICED, agreeTo(1_190), RESERVED]);
    expect(order.context).toMatchObject({ round: 2, items: [{ price: { amount: 1190 } }] });
    const again = orderAfter(reservingAgain);
    expect(again.context).toMatchObject({ round: 2, items: [{ price: { amount: 1190 } }] });
  });

  it("is dearer by now: that is said until it is confirmed, and nobody confirms a price unseen", () => {
    const unseen = orderAfter([...reserving, DEARER]);
    expect(make(unseen, "CONFIRM_PIZZA")).toBe(false);
    make(unseen, PRICED);
    expect(unseen.value).toEqual(choose("choosing"));
    expect(unseen.context["reason"]).toBe("Mango Tango has another price now");
    // A second click of the same confirmation agrees to nothing new.
    expect(make(unseen, "CONFIRM_PIZZA")).toBe(false);
    expect(make(unseen, agreeTo(1_189))).toBe(false);
    make(unseen, agreeTo(1_190));
    expect(unseen.value).toBe("reserveStock");
    expect(unseen.context).toMatchObject({ reason: null, round: 2, mustAgree: false });
  });

  it("is not confirmed at another total than the one that is agreed to", () => {
    expect(make(orderAfter(priced), agreeTo(1_000))).toBe(false);
    expect(make(orderAfter(priced), agreeTo(1_190))).toBe(true);
    expect(make(orderAfter([add("p1")]), agreeTo(1_190))).toBe(false);
  });

  it("says that it was not reserved, though the catalog names no line", () => {
    const order = orderAfter(reserving);
    order.settle({ output: { reserved: false, shortages: [] } });
    expect(order.context["reason"]).toBe("nothing could be set aside; try again");
  });

  it("has one price for all pieces of a product, and no other currency than its total", () => {
    const product = (amount: number, currency: string) => ({
      ...{ id: "mango-tango", name: "Mango Tango", description: "", picture: null },
      ...{ available: true, price: { amount, currency } },
    });
    const dearer = orderAfter([...priced, add("p2"), "CONFIRM_PIZZA"]);
    dearer.settle({ output: [product(1_500, "EUR")] });
    expect(dearer.value).toEqual(choose("choosing"));
    expect(dearer.context).toMatchObject({
      items: [{ price: { amount: 1_500 } }, { price: { amount: 1_500 } }],
      total: { amount: 3_000, currency: "EUR" },
      reason: "Mango Tango has another price now",
    });
    expect(make(dearer, "CONFIRM_PIZZA")).toBe(false);
    const foreign = orderAfter([add("p1")]);
    foreign.settle({ output: [product(1_190, "JPY")] });
    expect(foreign.context).toMatchObject({
      items: [],
      total: { amount: 0, currency: "EUR" },
      reason: "mango-tango is not sold for EUR",
    });
  });

  it("starts its deadline anew with each pizza", () => {
    const order = orderAfter([add("p1")]);
    order.now = 1_000;
    make(order, add("p2"));
    expect(order.timers).toMatchObject([{ at: 24 * 3_600_000 + 1_000 }]);
    make(order, PRICED);
    expect(order.timers).toMatchObject([{ at: 24 * 3_600_000 + 1_000 }]);
  });
});

describe("the order's chart", () => {
  const leaves = allNodes(orderMachine.root).filter(
    (node) => Object.keys(node.states).length === 0 && node.type !== "final",
  );

  it.each(leaves.map((node) => [node.id, node] as const))(
    "never waits for ever in %s",
    (_, node) => {
      const above = [node, ...(node.parent === undefined ? [] : [node.parent])];
      const hasDeadline = above.some(({ transitions }) =>
        [...transitions.keys()].some((type) => type.startsWith("xstate.after.")),
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
