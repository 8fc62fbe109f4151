import { assign, cancel, emit, enqueueActions, fromPromise, log, raise, setup } from "xstate";
import { describe, expect, it } from "vitest";
import { Quarantined, StepFailed, Unsupported } from "../../src/kernel/errors.ts";
import { begin, settle, step, type MachineState } from "../../src/kernel/step.ts";
import { restore } from "../../src/kernel/restoring.ts";
import { store } from "../../src/kernel/storing.ts";
import { changeTimers, isTimerEffect, type Timer } from "../../src/kernel/timers.ts";
import type { Effect } from "../../src/kernel/effects.ts";
import { stored, thereAndBack as writtenAndRead } from "../support/drive.ts";

interface Context {
  count: number;
  note: unknown;
}

const work = fromPromise<string, { count: number }>(() => {
  throw new Error("A step must never run an actor");
});

const machine = setup({
  types: {} as { context: Context; input: { count: number } | undefined },
  actors: { work },
  actions: {
    count: assign({ count: ({ context }: { context: Context }) => context.count + 1 }),
    tell: (_, _params: { count: number }) => {
      throw new Error("A step must never run an action");
    },
  },
  guards: {
    never: () => false,
    throws: () => {
      throw new Error("the guard broke");
    },
  },
  delays: { soon: 1_000, computed: ({ context }) => context.count * 10 },
}).createMachine({
  id: "sample",
  context: ({ input }) => ({ count: input?.count ?? 0, note: null }),
  initial: "idle",
  on: {
    COUNT: { actions: "count" },
    NEVER: { guard: "never", actions: "count" },
    BROKEN: { guard: "throws" },
    FORBIDDEN: {},
    SPOIL: { actions: assign({ note: () => new Map() }) },
  },
  states: {
    idle: {
      on: {
        WORK: "working",
        WAIT: "waiting",
        PASS: "passing",
        RISK: "risking",
        ALL: {
          actions: [
            { type: "tell", params: ({ context }) => ({ count: context.count }) },
            emit({ type: "told" }),
            log("hello"),
            raise({ type: "COUNT" }, { delay: 500, id: "later" }),
            cancel("other"),
            enqueueActions(({ enqueue }) => {
              enqueue("count");
              enqueue.raise({ type: "COUNT" });
            }),
          ],
        },
        SPIN: "spinA",
      },
    },
    working: {
      invoke: {
        id: "job",
        src: "work",
        input: ({ context }) => ({ count: context.count }),
        onDone: { target: "idle", actions: assign({ note: ({ event }) => event.output }) },
        onError: "failed",
      },
      on: { STOP: "idle", AGAIN: { target: "working", reenter: true } },
    },
    passing: { invoke: { id: "short", src: "work", input: { count: 0 } }, always: "idle" },
    waiting: { after: { soon: "idle", computed: "idle" }, on: { STOP: "idle" } },
    risking: { invoke: { id: "risky", src: "work", input: { count: 0 }, onDone: "idle" } },
    failed: { type: "final" },
    spinA: { always: "spinB" },
    spinB: { always: "spinA" },
  },
});

const started = (): MachineState => begin(machine, { count: 1 }).state;
const after = (state: MachineState, type: string) => step(state, { type });
const thereAndBack = (state: MachineState): MachineState => writtenAndRead(machine, state);
const timersAfter = (timers: readonly Timer[], effects: Effect[], now: number) =>
  effects.filter(isTimerEffect).reduce((all, effect) => changeTimers(all, effect, now), timers);

describe("a step", () => {
  it("returns the next state and leaves the one before as it was", () => {
    const before = started();
    const { state, effects } = after(before, "COUNT");
    expect(state.snapshot.context).toEqual({ count: 2, note: null });
    expect(before.snapshot.context).toEqual({ count: 1, note: null });
    expect(effects).toEqual([]);
  });

  it("turns everything the chart wants done into plain data, in order", () => {
    const { state, effects } = after(started(), "ALL");
    expect(JSON.parse(JSON.stringify(effects))).toEqual([
      { type: "log", message: "hello" },
      { type: "command", key: 1, name: "tell", params: { count: 1 }, path: [] },
      { type: "emit", key: 2, event: { type: "told" } },
      {
        ...{ type: "timer.set", key: 3, owner: 0, target: 0, id: "later", delay: 500 },
        event: { type: "COUNT" },
      },
      { type: "timer.cancel", owner: 0, id: "other" },
    ]);
    // Both the enqueued action and the raised event belong to this step.
    expect(state.snapshot.context.count).toBe(3);
    expect(state.nextKey).toBe(4);
  });

  it("starts and stops an actor by a key that is never given out twice", () => {
    const first = after(started(), "WORK");
    expect(first.effects).toEqual([
      { type: "actor.start", key: 1, id: "job", src: "work", input: { count: 1 }, path: [] },
    ]);
    const again = after(thereAndBack(first.state), "AGAIN");
    expect(again.effects).toEqual([
      { type: "actor.stop", key: 1 },
      { type: "actor.start", key: 2, id: "job", src: "work", input: { count: 1 }, path: [] },
    ]);
    expect(after(thereAndBack(again.state), "STOP").effects).toEqual([
      { type: "actor.stop", key: 2 },
    ]);
  });

  it("never starts an actor that is stopped in the same step", () => {
    expect(after(started(), "PASS").effects).toEqual([]);
  });

  it("takes an actor's result only from the run that is still wanted", () => {
    const running = after(started(), "WORK").state;
    const restarted = after(running, "AGAIN").state;
    const done = { output: "yes" };
    expect(settle(restarted, 1, done)).toBeNull();
    expect(settle(started(), 1, done)).toBeNull();
    expect(settle(restarted, 2, done)!.state.snapshot).toMatchObject({
      value: "idle",
      context: { note: "yes" },
    });
    const error = { error: { name: "Error", message: "no" } };
    expect(settle(restarted, 2, error)!.state.snapshot.value).toBe("failed");
  });

  it("ends with the error of an actor that nobody handles, as XState does", () => {
    const { state } = after(started(), "RISK");
    const error = { name: "Error", message: "no" };
    const ended = settle(state, 1, { error })!;
    expect(ended.taken).toBe(true);
    expect(ended.state.snapshot).toMatchObject({ status: "error", error, value: "risking" });
    expect(after(ended.state, "COUNT").taken).toBe(false);
  });

  it("sets timers with their delays worked out, and cancels them when their state is left", () => {
    const { state, effects } = after(started(), "WAIT");
    expect(effects.map((effect) => "delay" in effect && effect.delay)).toEqual([1_000, 10]);
    const timers = timersAfter([], effects, 5_000);
    expect(timers.map(({ at }) => at)).toEqual([6_000, 5_010]);
    const left = after(thereAndBack(state), "STOP");
    expect(timersAfter(timers, left.effects, 5_001)).toEqual([]);
  });

  it("says whether the state takes an event; a forbidden one counts as taken", () => {
    const state = started();
    const taken = ["COUNT", "NEVER", "FORBIDDEN", "UNKNOWN", "STOP"].map(
      (type) => after(state, type).taken,
    );
    expect(taken).toEqual([true, false, true, false, false]);
  });
});

describe("a step that can't be", () => {
  it("says where, on what and why when a guard throws", () => {
    const failing = () => after(started(), "BROKEN");
    expect(failing).toThrow(StepFailed);
    expect(failing).toThrow(/"sample", state "idle", could not take "BROKEN".*guard broke/s);
  });

  it("ends an endless loop", () => {
    expect(() => after(started(), "SPIN")).toThrow(/Infinite loop/);
  });

  it("does not begin with a failed snapshot, as XState would", () => {
    const broken = setup({}).createMachine({
      id: "broken",
      context: () => {
        throw new Error("no context");
      },
    });
    expect(() => begin(broken, undefined)).toThrow(/"broken".*no context/s);
  });

  it("names the place of what JSON would change", () => {
    const { state } = after(started(), "SPOIL");
    expect(() => store(state)).toThrow(Unsupported);
    expect(() => store(state)).toThrow(/"sample", state "idle": context\.note \(Map\)/);
  });
});

describe("a stored state", () => {
  it("comes back the same, starting nothing", () => {
    const { state } = after(started(), "WORK");
    const back = thereAndBack(state);
    expect(store(back)).toEqual(store(state));
    expect(back.snapshot.value).toBe("working");
  });

  it("is quarantined, not reset, when its state is gone", () => {
    const altered = { ...stored(started()).root, value: "vanished" };
    expect(() => restore(machine, altered)).toThrow(Quarantined);
  });

  it("is quarantined when its actor is gone", () => {
    const running = stored(after(started(), "WORK").state).root;
    const altered = { ...running, children: { job: { key: 1, src: "vanished" } } };
    expect(() => restore(machine, altered)).toThrow(/"vanished".*is gone/);
  });
});

describe("history states", () => {
  const remembering = setup({}).createMachine({
    id: "remembering",
    initial: "on",
    states: {
      on: {
        initial: "low",
        on: { OFF: "off" },
        states: { low: { on: { UP: "high" } }, high: {}, last: { type: "history" } },
      },
      off: { on: { ON: "on.last" } },
    },
  });

  it("are remembered over a restart, and quarantined when what they remember is gone", () => {
    let { state } = begin(remembering, undefined);
    for (const type of ["UP", "OFF"]) ({ state } = step(state, { type }));
    const altered = stored(state).root;
    const back = writtenAndRead(remembering, state);
    expect(step(back, { type: "ON" }).state.snapshot.value).toEqual({ on: "high" });
    for (const nodes of Object.values(altered.historyValue ?? {})) nodes[0]!.id = "vanished";
    expect(() => restore(remembering, altered)).toThrow(/"vanished" is gone/);
  });
});
