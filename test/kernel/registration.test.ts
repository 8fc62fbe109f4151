import {
  assign,
  fromCallback,
  fromObservable,
  fromPromise,
  fromTransition,
  createMachine,
  and,
  not,
  raise,
  setup,
  spawnChild,
  type AnyStateMachine,
} from "xstate";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import type { Access } from "../../src/kernel/workflow.ts";

const machineWith = (state: object, implementations: object = {}): AnyStateMachine =>
  (
    setup(implementations) as unknown as { createMachine(config: object): AnyStateMachine }
  ).createMachine({ id: "sample", initial: "a", states: { a: state, b: {} } });

const register = (machine: AnyStateMachine) => registerWorkflows({ samples: machine });

describe("registration", () => {
  it("takes a bare machine, and knows its version and events", () => {
    const machine = machineWith({
      on: { GO: "b", "pay.*": "b" },
      always: { target: "b", guard: () => false },
    });
    expect(register(machine).get("samples")).toMatchObject({
      version: "1",
      descriptors: ["GO", "pay.*"],
    });
  });

  it("takes promises whether the chart or the effects implement them", () => {
    const machine = machineWith(
      { invoke: { src: "work" } },
      { actors: { work: fromPromise(() => Promise.resolve()) } },
    );
    expect(() => register(machine)).not.toThrow();
    const named = createMachine({
      id: "sample",
      initial: "a",
      states: { a: { invoke: { src: "work" } } },
    });
    const effects = { actors: { work: { run: () => Promise.resolve() } } };
    expect(() => registerWorkflows({ samples: { machine: named, effects } })).not.toThrow();
  });

  const child = createMachine({ id: "child" });
  it.each<[string, AnyStateMachine, RegExp]>([
    [
      "an inline action",
      machineWith({ entry: () => {} }),
      /an action of "entry" is an inline function.*Give it a name/,
    ],
    [
      "an inline action on an event",
      machineWith({ on: { GO: { actions: () => {} } } }),
      /an action of "on GO" is an inline function/,
    ],
    [
      "an unknown action",
      machineWith({ entry: "nowhere" }),
      /action "nowhere" of "entry" is unknown/,
    ],
    [
      "an unknown guard",
      machineWith({ on: { GO: { guard: "nowhere", target: "b" } } }),
      /guard "nowhere" is unknown/,
    ],
    ["an unknown delay", machineWith({ after: { nowhere: "b" } }), /delay "nowhere" is unknown/],
    ["an unknown actor", machineWith({ invoke: { src: "nowhere" } }), /actor "nowhere" is unknown/],
    [
      "anonymous logic",
      machineWith({ invoke: { src: fromPromise(() => Promise.resolve()) } }),
      /has no name/,
    ],
    [
      "a callback",
      machineWith({ invoke: { src: "x" } }, { actors: { x: fromCallback(() => {}) } }),
      /"x" is a callback or an observable/,
    ],
    [
      "an observable",
      machineWith({ invoke: { src: "x" } }, { actors: { x: fromObservable(() => ({}) as never) } }),
      /"x" is a callback or an observable/,
    ],
    [
      "a spawned callback",
      machineWith({ entry: spawnChild("x") }, { actors: { x: fromCallback(() => {}) } }),
      /"x" is a callback or an observable/,
    ],
    [
      "an action by one of XState's own names",
      machineWith({ entry: "xstate.raise" }, { actions: { "xstate.raise": () => {} } }),
      /has one of XState's own names.*a name of your own/,
    ],
    ["a spawned machine without a name", machineWith({ entry: spawnChild(child) }), /has no name/],
    ["a spawned actor that is unknown", machineWith({ entry: spawnChild("x") }), /"x" is unknown/],
    [
      "an unknown guard in a combination",
      machineWith({ on: { GO: { guard: and([not("nowhere")]), target: "b" } } }),
      /guard "nowhere" is unknown/,
    ],
    [
      "an unknown delay of a send",
      machineWith({ entry: raise({ type: "GO" }, { delay: "nowhere" as never }) }),
      /delay "nowhere" is unknown/,
    ],
    [
      "an inline action on the way in",
      machineWith({ initial: { target: "c", actions: () => {} }, states: { c: {} } }),
      /an action of "initial" is an inline function/,
    ],
  ])("refuses %s, naming the state", (_, machine, message) => {
    expect(() => register(machine)).toThrow(message);
    expect(() => register(machine)).toThrow(/Machine "sample", state "sample\.a"/);
  });

  it("refuses what a child machine can't do, naming the child's state", () => {
    const bad = createMachine({ id: "bad", initial: "a", states: { a: { entry: () => {} } } });
    const machine = machineWith({ invoke: { src: "x" } }, { actors: { x: bad } });
    expect(() => register(machine)).toThrow(/Machine "bad", state "bad\.a": an action/);
  });

  it("warns of a machine without schemas, which only operators may send to", () => {
    const { warnings } = register(machineWith({ on: { GO: "b" } })).get("samples")!;
    expect(warnings).toEqual([expect.stringMatching(/no events table.*GO.*operators only/)]);
  });

  it.each([Infinity, Number.NaN, 0, -1])("refuses to defer an event for %d", (deferFor) => {
    const events = { GO: { schema: v.any(), otherwise: "defer" as const, deferFor } };
    const machine = machineWith({ on: { GO: "b" } });
    expect(() => registerWorkflows({ samples: { machine, events } })).toThrow(
      /is to be deferred for/,
    );
  });

  it("refuses a history that would begin again all the time", () => {
    const machine = machineWith({});
    expect(() => registerWorkflows({ samples: { machine, continueAfter: 99 } })).toThrow(
      /continueAfter is 99.*at least 100/,
    );
  });

  it("refuses an event that the chart never takes", () => {
    const events = { GO: { schema: v.any() } };
    expect(() => registerWorkflows({ samples: { machine: machineWith({}), events } })).toThrow(
      /never takes the event "GO"/,
    );
  });

  it("refuses an actor that is an instance of no workflow", () => {
    const machine = machineWith({ invoke: { src: "x" } });
    const effects = { actors: { x: { workflow: "nowhere" } } };
    expect(() => registerWorkflows({ samples: { machine, effects } })).toThrow(
      /"nowhere".*no workflow/,
    );
  });

  describe("an actor that is another instance", () => {
    const other = machineWith({ on: { CANCEL: "b", "pay.*": "b" } });
    const withActor = (machine: AnyStateMachine, onStop?: { type: string }, events?: object) =>
      registerWorkflows({
        samples: {
          machine,
          effects: {
            actors: { x: { workflow: "others", ...(onStop === undefined ? {} : { onStop }) } },
          },
        },
        others: { machine: other, ...events },
      });
    const invoking = (actors: object = {}) => machineWith({ invoke: { src: "x" } }, { actors });

    it("may be a promise in the chart, or not be there", () => {
      const x = fromPromise(() => Promise.resolve());
      expect(() => withActor(invoking({ x }))).not.toThrow();
      expect(() => withActor(invoking())).not.toThrow();
    });

    it.each<[string, AnyStateMachine]>([
      ["a machine", invoking({ x: child })],
      ["transition logic", invoking({ x: fromTransition((state: number) => state, 0) })],
      [
        "a machine of a child's",
        machineWith({ invoke: { src: "y" } }, { actors: { y: invoking({ x: child }) } }),
      ],
    ])("is refused where the chart has it as %s", (_, machine) => {
      expect(() => withActor(machine)).toThrow(/"x" has logic of its own.*"others"/);
    });

    const table = { CANCEL: { schema: v.any() }, "pay.cash": { schema: v.any() } };
    it.each<[string, object?]>([
      ["CANCEL"],
      ["pay.card"],
      ["CANCEL", { events: table }],
      ["pay.cash", { events: table }],
    ])("may be told %s when it is stopped", (type, events) => {
      expect(() => withActor(invoking(), { type }, events)).not.toThrow();
    });

    it.each<[string, object?]>([
      ["CANCLE"],
      ["xstate.stop"],
      ["pay.card", { events: table }],
      ["toString", { events: table }],
    ])("is refused where it would be told %s, which it doesn't take", (type, events) => {
      expect(() => withActor(invoking(), { type }, events)).toThrow(
        /"x" is told ".*" when it is stopped, which "others" doesn't take.*It takes CANCEL, pay/,
      );
    });
  });

  it.each(["events", "healthz", "machines", "webhooks", "hooks", "Orders", "a/b", ""])(
    "refuses the segment %j",
    (key) => {
      expect(() => registerWorkflows({ [key]: machineWith({}) })).toThrow(/URL segment/);
    },
  );

  it("refuses events without a schema once there are schemas", () => {
    const machine = machineWith({ on: { GO: "b", STAY: { actions: assign({}) } } });
    const events = { GO: { schema: v.any() } };
    expect(() => registerWorkflows({ samples: { machine, events } })).toThrow(
      /"STAY" has no schema/,
    );
  });

  it("refuses a sender of whom nobody says which instances it reaches", () => {
    const machine = machineWith({ on: { GO: "b" } });
    const events = { GO: { schema: v.any(), from: ["operator", "clerk"] } };
    const register = (access?: Record<string, Access>) =>
      registerWorkflows({
        samples: { machine, events, ...(access === undefined ? {} : { access }) },
      });
    expect(() => register()).toThrow(/"GO" is from "clerk".*access: \{ "clerk"/);
    expect(() => register({ other: {} })).toThrow(/"clerk"/);
    expect(register({ clerk: {} }).get("samples")!.warnings).toEqual([]);
    const ruled = { GO: { schema: v.any(), from: [{ role: "boss", when: () => true }] } };
    expect(() => registerWorkflows({ samples: { machine, events: ruled } })).toThrow(/"boss"/);
  });

  it("refuses the machine's own event types as somebody's", () => {
    const machine = machineWith({});
    const events = { "xstate.done.actor.x": { schema: v.any() } };
    expect(() => registerWorkflows({ samples: { machine, events } })).toThrow(/no event of yours/);
  });
});
