import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { MomentView, View } from "../../src/contract/view.ts";
import {
  call,
  customer,
  freshId,
  operate,
  send,
  setTime,
  stubOf,
  view,
} from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";
import { randomFrom } from "../support/random.ts";

const began = 1_800_000_000_000;

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

type Move = (random: () => number) => { type: string; data?: unknown };

const plain =
  (type: string): Move =>
  () => ({ type });

const pizza = (random: () => number) => `p${Math.floor(random() * 8)}`;

/** What may happen to each chart, and how often beside the others. */
const charts: Record<string, { entries: number; moves: Move[] }> = {
  probes: {
    entries: 260,
    moves: [
      ...["COUNT", "PUSH", "WORK", "REST", "NAP", "TELL", "GUARDED"].map(plain),
      (random) => ({ type: "GROW", data: { bytes: Math.floor(random() * 300) } }),
    ],
  },
  families: {
    entries: 160,
    moves: [
      ...["ADD", "BEAR", "STOP_YOUNGEST", "MIND", "LEAVE"].map(plain),
      ...["ELDEST", "YOUNGEST", "MINDED"].flatMap((name) =>
        ["POKE", "WORK", "REST", "GUARDED"].map((type): Move => () => ({
          type: `TO_${name}`,
          data: { type },
        })),
      ),
    ],
  },
  orders: {
    entries: 60,
    moves: [
      (random) => ({ type: "ADD_PIZZA", data: { id: pizza(random), pizza: "mango-tango" } }),
      (random) => ({ type: "REMOVE_PIZZA", data: { id: pizza(random) } }),
      ...["CONFIRM_PIZZA", "PIZZA_IN_OVEN", "PIZZA_READY", "RETRY"].map(plain),
      ...["PIZZA_FAILED", "DELIVERY_FAILED"].map((type): Move => () => ({
        type,
        data: { reason: "bad luck" },
      })),
    ],
  },
};

/** Of a view, what a moment of the history is to say as well. */
function comparable(shown: View | MomentView) {
  const { status, state, context, tags, actors, timers, timerCount, epoch, seq } = shown;
  const { version, output, error } = shown;
  const whole = { status: status === "paused" ? "active" : status, state, context, tags };
  return { ...whole, actors, timers, timerCount, epoch, seq, version, output, error };
}

const momentOf = async (workflow: string, id: string, seq: number) => {
  const { status, body } = await call<MomentView>("GET", `/${workflow}/${id}/history/${seq}`);
  expect({ seq, status }).toEqual({ seq, status: 200 });
  return comparable(body);
};

describe.each(Object.entries(charts))("history/{seq} of %s", (workflow, { entries, moves }) => {
  it.each([1, 2])("is what was answered at the time, for every seq (seed %i)", async (seed) => {
    const random = randomFrom(seed);
    world.actor = () => Promise.resolve({ drawn: seed });
    setTime(began);
    const id = freshId();
    const first = await call<View>("POST", `/${workflow}`, { body: { id, input: {} } });
    const answered = new Map<number, object>([[1, comparable(first.body)]]);
    const note = (shown: View) => answered.set(shown.seq, comparable(shown));
    for (let last = 1; last < entries;) {
      const luck = random();
      const move = moves[Math.floor(random() * moves.length)]!;
      if (luck < 0.03) await evictDurableObject(stubOf(workflow, id));
      else if (luck < 0.08) {
        setTime(Date.now() + Math.floor(random() * 90_000));
        await runDurableObjectAlarm(stubOf(workflow, id));
      } else if (luck < 0.1) await operate(workflow, id, random() < 0.5 ? "pause" : "resume");
      else if (luck < 0.12) {
        await operate(workflow, id, "rewind", { to: 1 + Math.floor(random() * last) });
      } else if (luck < 0.13) await operate(workflow, id, "retry");
      else await send(workflow, id, move(random), luck < 0.2 ? { key: `k${last}` } : {});
      const now = await view(workflow, id);
      note(now);
      last = now.seq;
    }
    expect(answered.size).toBeGreaterThan(entries / 3);
    for (const [seq, shown] of answered) {
      expect(await momentOf(workflow, id, seq)).toEqual(shown);
    }
    await evictDurableObject(stubOf(workflow, id));
    for (const seq of [...answered.keys()].filter(() => random() < 0.2)) {
      expect(await momentOf(workflow, id, seq)).toEqual(answered.get(seq));
    }
  });
});

describe("history/{seq}", () => {
  it("shows a customer what it was, but for what could be done", async () => {
    const id = freshId();
    await call("POST", "/orders", { body: { id, input: { customer: "anna" } } });
    const as = { ...customer, subject: "anna" };
    const { body } = await call("GET", `/orders/${id}/history/1`, { as });
    expect(body).toMatchObject({ seq: 1, state: "orderPizza", context: { customer: "anna" } });
    expect(body).not.toHaveProperty("allowed");
  });

  it("changes nothing, of what is over as well", async () => {
    const id = freshId();
    await call("POST", "/probes", { body: { id } });
    await send("probes", id, { type: "COUNT" });
    await send("probes", id, { type: "END" });
    const before = await view("probes", id);
    const { body } = await call("GET", `/probes/${id}/history/2`);
    expect(body).toMatchObject({ status: "active", context: { count: 1 } });
    expect(await view("probes", id)).toEqual(before);
  });
});
