import { describe, expect, it, vi } from "vitest";
import type { Operation } from "../../src/contract/operations.ts";
import { ProcessDied, runInNode, type NodeInstance } from "../../src/testing/index.ts";
import { keys, look } from "../support/audited.ts";
import { orderIn, orderStates } from "../support/order-states.ts";
import { ordersV1 } from "../support/order-v2.ts";

const env = { JOURNAL_KEYS: keys.first };

type Name = Operation["name"] | "erase";

/** What an operation has come to: what it did, or the problem that it met. */
type Result = "changed" | "unchanged" | `refused: ${string}`;

const operations: Record<Name, Operation | null> = {
  pause: { name: "pause" },
  resume: { name: "resume" },
  cancel: { name: "cancel", data: { reason: "hungry no more" } },
  terminate: { name: "terminate" },
  retry: { name: "retry" },
  discard: { name: "discard", incident: "effect:99" },
  rewind: { name: "rewind", to: 1 },
  migrate: { name: "migrate" },
  erase: null,
};

const ended = new Set(["delivered", "cancelled"]);
const cancellable = new Set([
  "orderPizza",
  "bakePizza.sendingOrderToKitchen",
  "bakePizza.waitingForPizzaToBeBaked",
  "bakePizza.errorInKitchen",
  "deliverPizza.errorInDelivery",
]);

const notPossible = "refused: operation-not-possible";
const notAllowed = "refused: event-not-allowed";

/** What `docs/operations.md` says comes of it, the first time and the second. */
function documented(name: Name, state: string): [Result, Result] {
  const isRunning = !ended.has(state);
  switch (name) {
    case "pause":
      return isRunning ? ["changed", "unchanged"] : [notPossible, notPossible];
    case "resume":
    case "retry":
    case "migrate":
      return ["unchanged", "unchanged"];
    case "cancel":
      return [cancellable.has(state) ? "changed" : notAllowed, notAllowed];
    case "terminate":
      return isRunning ? ["changed", "unchanged"] : [notPossible, notPossible];
    case "discard":
      return [notPossible, notPossible];
    case "rewind":
      return ["changed", "unchanged"];
    case "erase":
      return isRunning ? [notPossible, notPossible] : ["changed", "unchanged"];
  }
}

/** What the journal tells of a change. */
const told: Partial<Record<Name, string>> = {
  pause: "durachart.paused",
  cancel: "CANCEL_ORDER",
  terminate: "durachart.terminated",
  rewind: "durachart.rewound",
};

async function carryOut(order: NodeInstance, name: Name): Promise<Result> {
  const operation = operations[name];
  if (operation === null) {
    const reply = await order.erase();
    if (!reply.ok) return `refused: ${reply.problem.type.split(":").at(-1)!}`;
    const done = JSON.parse(reply.json) as { operation: { changed: boolean } };
    return done.operation.changed ? "changed" : "unchanged";
  }
  const answer = await order.operate(operation);
  if (!answer.ok) return `refused: ${answer.problem.type.split(":").at(-1)!}`;
  return answer.view.operation.changed ? "changed" : "unchanged";
}

const start = async (state: string): Promise<NodeInstance> =>
  (await orderIn(state, (options) => runInNode(ordersV1, { ...options, env }))).order;

/** All that can be seen of an order; what is erased shows nothing. */
async function seen(order: NodeInstance) {
  try {
    const { updatedAt: _, ...view } = await order.view();
    const history = (await order.history()).map(({ seq, event, outcome, by, state }) => {
      return { seq, event, outcome, by, state };
    });
    // At least once, under one id.
    expect((await look(order.dump())).problems).toEqual([]);
    const sent = new Set(order.sent.map(({ name, id }) => `${name} ${id}`));
    return { view, history, sent: [...sent].toSorted() };
  } catch (error) {
    return (error as { problem: { type: string } }).problem.type;
  }
}

/** Until it is answered; whoever died is awake again after it. */
async function insist(order: NodeInstance, name: Name): Promise<Result> {
  for (;;) {
    try {
      return await carryOut(order, name);
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    }
  }
}

const cases = orderStates.flatMap((state) =>
  (Object.keys(operations) as Name[]).map((name) => ({ name, state })),
);

describe.each(cases)("$name of an order in $state", ({ name, state }) => {
  const [first, second] = documented(name, state);

  it("does what is documented, once, and the journal tells it", async () => {
    const order = await start(state);
    const before = await seen(order);
    expect(await carryOut(order, name)).toBe(first);
    const after = await seen(order);
    if (first === "changed") expect(after).not.toEqual(before);
    else expect(after).toEqual(before);
    const type = told[name];
    if (typeof after === "object" && type !== undefined && first === "changed") {
      const entries = after.history.filter(({ event }) => event.type === type);
      expect(entries).toMatchObject([{ outcome: "applied", by: "tester" }]);
    }
    expect(await carryOut(order, name)).toBe(second);
    expect(await seen(order)).toEqual(after);
  });

  it("by two callers at once, is one of the two", async () => {
    const [order, alone] = [await start(state), await start(state)];
    await carryOut(alone, name);
    const results = await Promise.all([carryOut(order, name), carryOut(order, name)]);
    expect(results.toSorted()).toEqual([first, second].toSorted());
    expect(await seen(order)).toEqual(await seen(alone));
  });

  it.each(["before", "after"] as const)("killed %s any of its commits, and again", async (when) => {
    vi.spyOn(console, "error").mockReturnValue();
    const alone = await start(state);
    const before = alone.commits;
    await carryOut(alone, name);
    const commits = alone.commits - before;
    await alone.advance(31_000);
    for (let commit = 1; commit <= commits; commit++) {
      const order = await start(state);
      order.crash(when, commit);
      const result = await insist(order, name);
      expect([first, second]).toContain(result);
      // What was lost with its process is taken over when its lease ends.
      await order.advance(31_000);
      const [one, other] = [await seen(order), await seen(alone)];
      expect(one, `commit ${commit} of ${commits}`).toEqual(other);
    }
  });
});
