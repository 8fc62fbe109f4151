import { describe, expect, it } from "vitest";
import { orderAccess } from "../../machines/order/v1/access.ts";
import { orderEffects } from "../../machines/order/v1/effects.ts";
import { orderEvents, orderInput } from "../../machines/order/v1/events.ts";
import { orderMachine } from "../../machines/order/v1/machine.ts";
import { keys, look } from "../support/audited.ts";
import { ProcessDied, runInNode, type NodeInstance } from "../../src/testing/index.ts";

const orders = {
  machine: orderMachine,
  events: orderEvents,
  input: orderInput,
  effects: orderEffects,
  access: orderAccess,
};
const pizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const reason = { type: "PIZZA_FAILED", data: { reason: "burnt" } };
const minute = 60_000;

/** An order with everything in it: actors, timers, messages, a failure and a second try. */
const story: ((order: NodeInstance, key: string) => Promise<unknown>)[] = [
  (order) => order.start({ input: {}, event: pizza("p1") }),
  (order, key) => order.send(pizza("p2"), key),
  (order, key) => order.send("CONFIRM_PIZZA", key),
  (order, key) => order.send(reason, key),
  (order, key) => order.send("RETRY", key),
  (order, key) => order.send("PIZZA_IN_OVEN", key),
  (order) => order.advance(30 * minute + 60_000),
  (order, key) => order.send("RETRY", key),
  (order, key) => order.send("PIZZA_READY", key),
  (order, key) => order.send("PIZZA_DELIVERED", key),
  (order) => order.advance(5 * minute),
];

/** As a client does: the same again, until it is answered. */
async function untilDone(act: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await act();
      return;
    } catch (error) {
      if (!(error instanceof ProcessDied) || tries > 2) throw error;
    }
  }
}

async function live(crash?: { when: "before" | "after"; commit: number }) {
  const order = runInNode(orders, {
    env: { JOURNAL_KEYS: keys.first },
    actors: { orderPizzaFromKitchen: () => null, orderDelivery: () => null },
  });
  if (crash !== undefined) order.crash(crash.when, crash.commit);
  for (const [index, act] of story.entries()) {
    await untilDone(() => act(order, `k${index}`));
    // Whatever was running when the process died is taken over once its lease has ended.
    await untilDone(() => order.restart());
    await untilDone(() => order.advance(31_000));
  }
  const { state, context } = await order.view();
  const { status: journal } = await look(order.dump());
  const events = (await order.history()).map(({ event, outcome }) => `${event.type} ${outcome}`);
  const sent = new Map(order.sent.map(({ id, name, payload }) => [id, { name, payload }]));
  return { state, context, journal, events, sent: [...sent], commits: order.commits };
}

describe("a crash at every commit of an order's life", () => {
  it.each(["before", "after"] as const)("just %s it changes nothing", async (when) => {
    const { commits, ...undisturbed } = await live();
    expect(undisturbed).toMatchObject({ state: "delivered", journal: "intact" });
    expect(commits).toBeGreaterThan(20);
    for (let commit = 1; commit <= commits; commit++) {
      const { commits: _, ...crashed } = await live({ when, commit });
      expect(crashed, `commit ${commit}`).toEqual(undisturbed);
    }
  });
});
