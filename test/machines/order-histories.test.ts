import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { orderMachine } from "../../machines/order/machine.ts";
import { Driver } from "../support/drive.ts";
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
  AGREE,
  DEARER,
  ACTOR_FAILED,
  TIME_PASSES,
  error,
  linesOf,
  make,
} from "../support/order-moves.ts";

describe("any history of an order", () => {
  const moves: Move[] = [
    ...["p1", "p2", "p3"].flatMap((id) => [add(id), remove(id)]),
    // In the order of a good day: what makes sense next is what comes next.
    ...[
      PRICED,
      "CONFIRM_PIZZA",
      AGREE,
      RESERVED,
      "RETRY",
      ACTOR_DONE,
      "PIZZA_IN_OVEN",
      "PIZZA_READY",
      "PIZZA_DELIVERED",
    ],
    ...[failed, lost, ACTOR_FAILED, SOLD_OUT, DEARER, UNKNOWN],
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
        /** What had left when the catalog reserved last. */
        let sentBefore = 0;
        for (const { first, kind, evict } of choices) {
          const { status } = order.state.snapshot;
          const inTurn = [...moves.slice(first), ...moves.slice(0, first)];
          const tried = { sensible: inTurn, any: inTurn.slice(0, 1), ending: endings }[kind]!;
          const move = tried.find((one) => make(order, one));
          const taken = move !== undefined;
          if (status !== "active") expect(taken).toBe(false);
          if (move === "PIZZA_READY") isReady = true;
          if (move === RESERVED) {
            isKitchenTold = true;
            sentBefore = order.sent.length;
          }
          if (evict) order.evict();

          const state = JSON.stringify(order.value);
          seen.set(state, (seen.get(state) ?? 0) + 1);
          const items = linesOf(order);
          expect(new Set(items.map((item) => item.id)).size).toBe(items.length);
          const total = items.reduce((sum, item) => sum + (item.price?.amount ?? 0), 0);
          expect(order.context["total"]).toEqual({ amount: total, currency: "EUR" });
          // Never delivered unbaked, and never baked unordered.
          if (state.includes("deliver")) expect(isReady && items.length > 0).toBe(true);
          // Nobody bakes a cancelled order: the kitchen is told whenever it may know of it.
          if (state === '"cancelled"' && isKitchenTold)
            expect(order.sent).toContain("cancelAtKitchen");
          // Nothing stays reserved: whatever ends has used or released what it had.
          if (order.state.snapshot.status !== "active" && isKitchenTold) {
            const last = order.sent.slice(sentBefore).findLast((one) => one.endsWith("Stock"));
            expect(last).toMatch(/^(releaseStock|useStock)$/);
          }
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
      { numRuns: 2_000 },
    );
  });

  it("has been everywhere", () => {
    expect(seen.size).toBe(13);
    for (const visits of seen.values()) expect(visits).toBeGreaterThan(20);
  });
});
