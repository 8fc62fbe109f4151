import {
  assign,
  createMachine,
  emit,
  enqueueActions,
  fromCallback,
  fromPromise,
  raise,
  sendParent,
  sendTo,
  setup,
  spawnChild,
  type AnyActorRef,
  type AnyStateMachine,
} from "xstate";
import { describe, expect, it } from "vitest";
import { StepFailed, Unsupported } from "../../src/kernel/errors.ts";
import { begin, step } from "../../src/kernel/step.ts";
import { machineText, store } from "../../src/kernel/storing.ts";

const work = fromPromise(() => Promise.resolve());
const echo = createMachine({ id: "echo", on: { PING: { actions: sendParent({ type: "PONG" }) } } });

/** A chart that does one thing on GO. */
const doing = (actions: unknown, more: object = {}): AnyStateMachine =>
  (
    setup({
      actors: { work, echo, callback: fromCallback(() => {}) },
      actions: { tell: () => {} },
    } as never) as unknown as { createMachine(config: object): AnyStateMachine }
  ).createMachine({
    id: "sample",
    context: { value: null, ref: null },
    initial: "a",
    states: { a: { on: { GO: { actions } } }, ...more },
  });

/** Takes GO and stores what comes of it, as an instance would. */
function go(machine: AnyStateMachine): void {
  const { state } = begin(machine, undefined);
  const before = machineText(store(state));
  try {
    store(step(state, { type: "GO" }).state, state);
  } finally {
    expect(machineText(store(state))).toBe(before);
  }
}

const spawned = (src: unknown, options?: object) =>
  assign(({ spawn }: { spawn: unknown }) => ({
    ref: (spawn as (src: unknown, options?: object) => AnyActorRef)(src, options),
  }));

const thousands = (count: number, one: (index: number) => unknown) =>
  enqueueActions(({ enqueue }) => {
    for (let index = 0; index < count; index++) enqueue(one(index) as never);
  });

const onRef = (use: (ref: AnyActorRef) => void) => [
  spawned("echo", { id: "e" }),
  assign(({ context }: { context: { ref: AnyActorRef } }) => {
    use(context.ref);
    return {};
  }),
];

describe("what shows only when it runs is refused at that step, which changes nothing", () => {
  it.each<[string, unknown, RegExp]>([
    [
      "spawned logic without a name",
      spawned(work),
      /logic that has no name.*Give the logic a name/,
    ],
    ["a spawned callback", spawned("callback"), /callback or an observable.*fromPromise/],
    ["a callback by spawnChild", spawnChild("callback" as never), /callback or an observable/],
    [
      "an actor that is unknown, enqueued",
      enqueueActions(({ enqueue }) => enqueue.spawnChild("nowhere" as never)),
      /the actor "nowhere" is unknown/,
    ],
    [
      "an id that is alive",
      [spawned("echo", { id: "e" }), spawned("echo", { id: "e" })],
      /spawns "e" while an actor of that id is alive.*an id of its own/,
    ],
    [
      "an inline function, enqueued",
      enqueueActions(({ enqueue }) => enqueue((() => {}) as never)),
      /unknown, or an inline function/,
    ],
    [
      "an action that is unknown, enqueued",
      enqueueActions(({ enqueue }) => enqueue({ type: "nowhere" } as never)),
      /action "nowhere" is unknown/,
    ],
    [
      "an endless delay",
      raise({ type: "GO" }, { delay: Infinity }),
      /delay of Infinity.*hundred years/,
    ],
    [
      "a delay that is no number",
      sendTo(({ self }) => self, { type: "GO" }, { delay: Number.NaN }),
      /delay of NaN is no time/,
    ],
    ["a Map in the context", assign({ value: () => new Map() }), /context\.value \(Map\)/],
    [
      "a Date deep in the context",
      assign({ value: () => ({ at: [new Date(0)] }) }),
      /context\.value\.at\[0\] \(Date\)/,
    ],
    ["NaN in the context", assign({ value: () => Number.NaN }), /context\.value \(NaN\)/],
    [
      "undefined in a list",
      assign({ value: () => [undefined] }),
      /context\.value\[0\] \(undefined\)/,
    ],
    ["a function in the context", assign({ value: () => () => {} }), /context\.value \(function\)/],
    [
      "what looks like a reference, from outside",
      assign({ value: () => ({ deep: { xstate$$type: 1, key: 0, id: "x" } }) }),
      /context\.value\.deep\.xstate\$\$type \(an actor's reference in disguise\)/,
    ],
    [
      "params that are no JSON",
      { type: "tell", params: { set: new Set() } },
      /the params of "tell"\.set \(Set\)/,
    ],
    [
      "an emitted event that is no JSON",
      emit({ type: "said", at: new Date(0) }),
      /the emitted "said"\.at \(Date\)/,
    ],
    [
      "a delayed event that is no JSON",
      raise({ type: "GO", at: new Date(0) } as never, { delay: 5 }),
      /the delayed "GO"\.at \(Date\)/,
    ],
    [
      "a reference as an actor's input",
      spawnChild(
        "work" as never,
        { id: "w", input: ({ self }: { self: unknown }) => ({ self }) } as never,
      ),
      /the input of "w"\.self \(Actor\)/,
    ],
    ["subscribe", onRef((ref) => ref.subscribe(() => {})), /subscribe of an actor reference/],
    ["on", onRef((ref) => ref.on("*", () => {})), /on of an actor reference/],
    [
      "getPersistedSnapshot",
      onRef((ref) => ref.getPersistedSnapshot()),
      /getPersistedSnapshot of an actor reference/,
    ],
    [
      "over 1,000 children",
      thousands(1_001, (index) => spawnChild("work" as never, { id: `w${index}` } as never)),
      /1001 actors alive at once; at most 1000/,
    ],
  ])("%s", (_, actions, message) => {
    const machine = doing(actions);
    expect(() => go(machine)).toThrow(Unsupported);
    expect(() => go(machine)).toThrow(message);
    expect(() => go(machine)).toThrow(/Machine "(sample", state "a"|echo")/);
  });

  it("actors that answer each other without end", () => {
    const child = createMachine({
      id: "child",
      on: { PING: { actions: sendParent({ type: "PONG" }) } },
    });
    const machine = setup({ actors: { child } }).createMachine({
      id: "sample",
      invoke: { src: "child", id: "c" },
      on: {
        GO: { actions: sendTo("c", { type: "PING" }) },
        PONG: { actions: sendTo("c", { type: "PING" }) },
      },
    });
    expect(() => go(machine)).toThrow(/over 10000 events in one step/);
  });

  it("states that can't be active together", () => {
    const machine = createMachine({
      id: "sample",
      type: "parallel",
      states: {
        p: { initial: "a", states: { a: { on: { GO: { target: ["#x", "#y"] } } }, b: {} } },
        q: { initial: "c", states: { c: {}, x: { id: "x" }, y: { id: "y" } } },
      },
    });
    expect(() => go(machine)).toThrow(/states that can't be active together, at "sample\.q"/);
  });

  it("what was put into the context in place", () => {
    const list: unknown[] = [];
    const push = assign(() => {
      list.push(new Date(0));
      return {};
    });
    const machine = createMachine({
      id: "sample",
      context: { list },
      on: { GO: { actions: push as never } },
    });
    const { state } = begin(machine, undefined);
    expect(() => store(step(state, { type: "GO" }).state, state)).toThrow(
      /context\.list\[0\] \(Date\)/,
    );
  });

  it("a reference in an instance's own output, which may leave it", () => {
    const machine = setup({ actors: { echo } }).createMachine({
      id: "sample",
      context: ({ spawn }) => ({ ref: spawn("echo") }),
      initial: "a",
      states: { a: { on: { GO: "b" } }, b: { type: "final" } },
      output: ({ context }) => ({ ref: context.ref }),
    });
    const { state } = begin(machine, undefined);
    expect(() => store(step(state, { type: "GO" }).state, state)).toThrow(/output\.ref \(Actor\)/);
  });

  it("a loop of over 1,000 microsteps", () => {
    const machine = doing(raise({ type: "GO" }));
    expect(() => go(machine)).toThrow(StepFailed);
    expect(() => go(machine)).toThrow(/Infinite loop/);
  });

  it("a message to an actor that is not there", () => {
    expect(() => go(doing(sendTo("nobody", { type: "GO" })))).toThrow(
      /Unable to send event to actor 'nobody'/,
    );
  });

  it("a message to a parent that an instance's own machine has not", () => {
    expect(() => go(doing(sendParent({ type: "GO" })))).toThrow(/Unable to send event to actor/);
  });
});
