import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { TerminalError } from "../../src/index.ts";
import type { EffectContext } from "../../src/kernel/workflow.ts";
import { eventually, history, send, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const second = 1_000;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const inState = (state: string) => (found: { state: unknown }) => found.state === state;

const effectsOf = (id: string) =>
  runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
    storage.sql.exec<{ attempt: number; due: number }>("SELECT * FROM effects").toArray(),
  );

/** A promise that the test settles. */
function pending<Value>() {
  return Promise.withResolvers<Value>();
}

describe("a promise actor", () => {
  it("runs after the commit, and its result comes back as an event", async () => {
    let stored: unknown;
    world.actor = async ({ input, instance, attempt }) => {
      stored = await view("probes", instance.id);
      return { input, attempt };
    };
    const id = await start("probes", { type: "WORK" });
    const done = await eventually(() => view("probes", id), inState("idle"));
    expect(stored).toMatchObject({ state: "working", seq: 2 });
    expect(done.context["result"]).toEqual({ input: { count: 0 }, attempt: 1 });
    const entries = await history("probes", id);
    expect(entries.at(-1)).toMatchObject({
      event: { type: "xstate.done.actor.work" },
      by: "actor",
    });
    expect(await effectsOf(id)).toEqual([]);
  });

  it("that fails is tried again under the same id, then fails for the chart", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.001);
    const ids: string[] = [];
    const attempts: number[] = [];
    world.actor = (context) => {
      ids.push(context.id);
      attempts.push(context.attempt);
      return Promise.reject(new Error("no luck"));
    };
    const id = await start("probes", { type: "WORK" });
    const failed = await eventually(() => view("probes", id), inState("failed"));
    expect(failed.context["result"]).toEqual({ name: "Error", message: "no luck" });
    expect(attempts).toEqual([1, 2, 3]);
    expect(new Set(ids)).toEqual(new Set([`tropical/probes/${id}/1-1`]));
  });

  it("that fails for good is not tried again", async () => {
    let runs = 0;
    world.actor = () => {
      runs += 1;
      return Promise.reject(new TerminalError("the card is stolen"));
    };
    const id = await start("probes", { type: "WORK" });
    const failed = await eventually(() => view("probes", id), inState("failed"));
    expect(failed.context["result"]).toMatchObject({ name: "TerminalError" });
    expect(runs).toBe(1);
  });

  it.each<[string, () => unknown, RegExp]>([
    ["a BigInt", () => 1n, /bigint/],
    [
      "itself",
      () => {
        const circular: Record<string, unknown> = {};
        circular["self"] = circular;
        return circular;
      },
      /nested too deep/,
    ],
    ["too much", () => "x".repeat(500_001), /at most 500000/],
  ])("that answers with %s fails for the chart, once", async (_, answer, message) => {
    let runs = 0;
    world.actor = () => {
      runs += 1;
      return Promise.resolve(answer());
    };
    const id = await start("probes", { type: "WORK" });
    const failed = await eventually(() => view("probes", id), inState("failed"));
    expect(failed.context["result"]).toMatchObject({ message });
    expect(runs).toBe(1);
  });

  it("whose every run is lost with its process fails for the chart in the end", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    let runs = 0;
    world.actor = () => {
      runs += 1;
      return new Promise(() => {});
    };
    const id = await start("probes", { type: "WORK" });
    for (let crash = 1; crash <= 3; crash++) {
      await eventually(
        () => Promise.resolve(runs),
        (count) => count === crash,
      );
      await runInDurableObject(stubOf("probes", id), (_instance, context) => {
        context.abort("crash");
      }).catch(() => {});
      setTime(began + crash * 30 * second);
      await runDurableObjectAlarm(stubOf("probes", id));
    }
    const failed = await eventually(() => view("probes", id), inState("failed"));
    expect(failed.context["result"]).toMatchObject({
      message: expect.stringMatching(/3 runs were lost/) as string,
    });
    expect(runs).toBe(3);
  });

  it("whose state was left is told, and its late result is dropped", async () => {
    const run = pending<unknown>();
    let signal: AbortSignal | undefined;
    world.actor = (context) => {
      ({ signal } = context);
      return run.promise;
    };
    const id = await start("probes", { type: "WORK" });
    await eventually(
      () => Promise.resolve(signal),
      (found) => found !== undefined,
    );
    await send("probes", id, { type: "REST" });
    expect(signal?.aborted).toBe(true);
    run.resolve("too late");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await view("probes", id)).toMatchObject({
      state: "idle",
      seq: 3,
      context: { result: null },
    });
  });

  it("of an earlier visit does not answer for the present one", async () => {
    const runs = [pending<unknown>(), pending<unknown>()];
    let began = 0;
    world.actor = () => runs[began++]!.promise;
    const id = await start("probes", { type: "WORK" });
    await eventually(
      () => Promise.resolve(began),
      (count) => count === 1,
    );
    await send("probes", id, { type: "REST" });
    await send("probes", id, { type: "WORK" });
    await eventually(
      () => Promise.resolve(began),
      (count) => count === 2,
    );
    runs[0]!.resolve("the first");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(await view("probes", id)).toMatchObject({ state: "working" });
    runs[1]!.resolve("the second");
    const done = await eventually(() => view("probes", id), inState("idle"));
    expect(done.context["result"]).toBe("the second");
  });

  it("that was running when its process died is taken over when its lease ends", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const lost = pending<unknown>();
    const seen: EffectContext<unknown>[] = [];
    world.actor = (context) => {
      seen.push(context);
      return seen.length === 1 ? lost.promise : Promise.resolve("taken over");
    };
    const id = await start("probes", { type: "WORK" });
    await eventually(
      () => Promise.resolve(seen.length),
      (count) => count === 1,
    );
    // Forget the run, as a crash would: the row with its lease is all that is left.
    await runInDurableObject(stubOf("probes", id), (_instance, context) => {
      context.abort("crash");
    }).catch(() => {});
    setTime(began + 29 * second);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(seen).toHaveLength(1);
    setTime(began + 30 * second);
    await runDurableObjectAlarm(stubOf("probes", id));
    const done = await eventually(() => view("probes", id), inState("idle"));
    expect(done.context["result"]).toBe("taken over");
    expect(seen.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(seen[1]!.id).toBe(seen[0]!.id);
  });

  it("that runs for longer than its lease keeps it", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const run = pending<unknown>();
    let runs = 0;
    world.actor = () => {
      runs += 1;
      return run.promise;
    };
    const id = await start("probes", { type: "WORK" });
    await eventually(
      () => Promise.resolve(runs),
      (count) => count === 1,
    );
    setTime(began + 30 * second);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(runs).toBe(1);
    expect(await effectsOf(id)).toMatchObject([{ attempt: 1, due: began + 60 * second }]);
    run.resolve("at last");
    const done = await eventually(() => view("probes", id), inState("idle"));
    expect(done.context["result"]).toBe("at last");
  });
});

describe("what leaves", () => {
  it("leaves after the commit: the action with its params, the emitted event", async () => {
    const told: unknown[] = [];
    const heard: unknown[] = [];
    world.action = (params, { id }) => {
      told.push([params, id]);
      return Promise.resolve();
    };
    world.emitted = (event, { id }) => {
      heard.push([event, id]);
      return Promise.resolve();
    };
    const id = await start("probes", { type: "TELL" });
    await eventually(
      () => effectsOf(id),
      (rows) => rows.length === 0,
    );
    expect(told).toEqual([[{ count: 1 }, `tropical/probes/${id}/1-1`]]);
    expect(heard).toEqual([[{ type: "probe.told", count: 1 }, `tropical/probes/${id}/1-2`]]);
  });

  it("is tried until it is taken, under one id, while other messages go on", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.001);
    const ids: string[] = [];
    let heard = 0;
    world.action = (_, { id, attempt }) => {
      ids.push(id);
      return attempt < 4 ? Promise.reject(new Error("sink down")) : Promise.resolve();
    };
    world.emitted = () => {
      heard += 1;
      return Promise.resolve();
    };
    const id = await start("probes", { type: "TELL" });
    await eventually(
      () => effectsOf(id),
      (rows) => rows.length === 0,
    );
    expect(ids).toEqual(Array.from({ length: 4 }, () => `tropical/probes/${id}/1-1`));
    expect(heard).toBe(1);
  });

  it("survives an eviction while the sink is down", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    let isDown = true;
    let delivered = 0;
    world.action = () => {
      if (isDown) return Promise.reject(new Error("sink down"));
      delivered += 1;
      return Promise.resolve();
    };
    const id = await start("probes", { type: "TELL" });
    await eventually(
      () => effectsOf(id),
      (rows) => rows.length === 1,
    );
    await evictDurableObject(stubOf("probes", id));
    isDown = false;
    setTime(began + 30 * second);
    await runDurableObjectAlarm(stubOf("probes", id));
    await eventually(
      () => effectsOf(id),
      (rows) => rows.length === 0,
    );
    expect(delivered).toBe(1);
  });

  it("is parked after a day, and shown", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    world.action = () => Promise.reject(new Error("sink down"));
    const id = await start("probes", { type: "TELL" });
    await eventually(
      () => effectsOf(id),
      (rows) => rows.length === 1,
    );
    setTime(began + 25 * 3_600 * second);
    await runDurableObjectAlarm(stubOf("probes", id));
    const parked = await eventually(
      () => view("probes", id),
      ({ incidents }) => incidents.length > 0,
    );
    const incident = parked.incidents[0]!.id;
    expect(parked.incidents).toEqual([
      {
        ...{ kind: "exhausted", what: "command tellTheWorld", error: "Error: sink down" },
        ...{ id: incident, mend: `POST /probes/${id}/retry {"incident":"${incident}"}` },
      },
    ]);
  });
});
