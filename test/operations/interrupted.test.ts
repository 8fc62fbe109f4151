import { afterEach, describe, expect, it, vi } from "vitest";
import type { Operation } from "../../src/contract/operations.ts";
import { ProcessDied, runInNode, type NodeInstance } from "../../src/testing/index.ts";
import { probe, resetWorld } from "../support/probe.ts";

const second = 1_000;
const minute = 60 * second;

afterEach(() => {
  vi.restoreAllMocks();
  resetWorld();
});

/** Until it is answered; whoever died is awake again after it. */
async function insist<Result>(act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    }
  }
}

/** Paused while an actor ran: its result, events and a deadline came in this order. */
async function paused(): Promise<NodeInstance> {
  const answer = Promise.withResolvers<string>();
  const probed = runInNode(probe, { actors: { work: () => answer.promise } });
  await probed.start();
  await probed.send("TELL");
  await probed.send("WORK");
  await probed.operate({ name: "pause" });
  await probed.advance(10 * second);
  await probed.send("COUNT", "k1");
  await probed.advance(10 * second);
  answer.resolve("worked");
  await probed.settle();
  await probed.advance(10 * second);
  await probed.send("TELL", "k2");
  await probed.advance(10 * second);
  await probed.send("PUSH_AND_THROW", "k3");
  await probed.advance(5 * minute);
  return probed;
}

async function seen(instance: NodeInstance) {
  const { updatedAt: _, ...view } = await instance.view();
  const history = (await instance.history()).map(({ seq, event, outcome, by, state }) => {
    return { seq, event, outcome, by, state };
  });
  const sent = new Set(instance.sent.map(({ name, id }) => `${name} ${id}`));
  return { view, history, sent: [...sent].toSorted() };
}

const first: Operation[] = [
  { name: "resume" },
  { name: "terminate" },
  { name: "rewind", to: 1 },
  { name: "rewind", to: 3 },
];

describe.each(first)("a paused instance, by %o", (operation) => {
  it.each(["before", "after"] as const)("killed %s any commit, ends the same", async (when) => {
    vi.spyOn(console, "error").mockReturnValue();
    const alone = await paused();
    const before = alone.commits;
    await alone.operate(operation);
    const commits = alone.commits - before;
    await alone.advance(2 * minute);
    const expected = await seen(alone);
    for (let commit = 1; commit <= commits; commit++) {
      const probed = await paused();
      probed.crash(when, commit);
      await insist(() => probed.operate(operation));
      await insist(() => probed.advance(2 * minute));
      // An answer that was lost may have been asked for twice; what happened did so once.
      expect(await seen(probed), `commit ${commit} of ${commits}`).toEqual(expected);
    }
  });
});

describe("resuming", () => {
  it("brings back what waited in the order of its times, each once", async () => {
    const probed = await paused();
    const { seq } = await probed.view();
    await probed.operate({ name: "resume" });
    const entries = (await probed.history()).slice(seq);
    expect(entries.map(({ event, outcome }) => `${event.type} ${outcome}`)).toEqual([
      "durachart.resumed applied",
      "COUNT applied",
      "xstate.done.actor.work applied",
      "TELL applied",
      "PUSH_AND_THROW deferred",
      "LATER applied",
    ]);
    expect((await probed.view()).incidents).toMatchObject([
      { kind: "blocked", what: "event PUSH_AND_THROW" },
    ]);
    // What threw has left nothing behind.
    expect((await probed.view()).context).toMatchObject({ list: [], result: "worked", count: 4 });
  });
});

describe("an erased instance", () => {
  it.each(["before", "after"] as const)(
    "killed %s any commit of its erasing is whole, or gone and listed as such",
    async (when) => {
      vi.spyOn(console, "error").mockReturnValue();
      for (let commit = 1; commit <= 6; commit++) {
        const told: { status: string }[] = [];
        const queue = { send: (body: never) => Promise.resolve(void told.push(body)) };
        const probed = runInNode(probe, { env: { LIST_QUEUE: queue } });
        await probed.start();
        await probed.send("END");
        await probed.advance(5 * second);
        expect(told.at(-1)).toMatchObject({ status: "done" });
        probed.crash(when, commit);
        await insist(() => probed.erase());
        await insist(() => probed.advance(2 * minute));
        expect(told.at(-1), `commit ${commit}`).toMatchObject({ status: "erased" });
        await expect(probed.view()).rejects.toThrow(/erased/);
        await expect(probed.start()).rejects.toThrow(/erased/);
      }
    },
  );
});

describe("a delayed start", () => {
  it.each(["before", "after"] as const)("killed %s any commit begins once", async (when) => {
    vi.spyOn(console, "error").mockReturnValue();
    for (let commit = 1; commit <= 5; commit++) {
      const runs: string[] = [];
      const probed = runInNode(probe, {
        actors: { work: ({ id }) => runs.push(id) && new Promise(() => {}) },
      });
      const wanted = { event: { type: "WORK" }, startAt: probed.now + minute };
      probed.crash(when, commit);
      await insist(() => probed.start(wanted));
      expect(await insist(() => probed.view())).toMatchObject({ status: "scheduled", seq: 0 });
      await insist(() => probed.advance(2 * minute));
      expect(await insist(() => probed.view())).toMatchObject({ state: "working", seq: 2 });
      expect(new Set(runs).size, `commit ${commit}`).toBe(1);
      const again = await probed.start(wanted);
      expect(again.seq).toBe(2);
    }
  });
});
