import {
  assign,
  fromCallback,
  fromObservable,
  fromPromise,
  fromTransition,
  createMachine,
  sendParent,
  sendTo,
  setup,
  type AnyStateMachine,
} from "xstate";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { registerWorkflows } from "../../src/kernel/registration.ts";

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
      /"x" is not a promise/,
    ],
    [
      "an observable",
      machineWith({ invoke: { src: "x" } }, { actors: { x: fromObservable(() => ({}) as never) } }),
      /"x" is not a promise/,
    ],
    [
      "transition logic",
      machineWith({ invoke: { src: "x" } }, { actors: { x: fromTransition((s: number) => s, 0) } }),
      /"x" is not a promise/,
    ],
    [
      "a child machine",
      machineWith({ invoke: { src: "x" } }, { actors: { x: child } }),
      /"x" is not a promise/,
    ],
    [
      "a systemId",
      machineWith(
        { invoke: { src: "x", systemId: "y" } },
        { actors: { x: fromPromise(() => Promise.resolve()) } },
      ),
      /systemId "y"/,
    ],
    ["sendTo", machineWith({ entry: sendTo("b", { type: "GO" }) }), /sendTo is not supported yet/],
    [
      "sendParent, by name",
      machineWith({ exit: "up" }, { actions: { up: sendParent({ type: "GO" }) } }),
      /sendTo is not supported yet/,
    ],
  ])("refuses %s, naming the state", (_, machine, message) => {
    expect(() => register(machine)).toThrow(message);
    expect(() => register(machine)).toThrow(/Machine "sample", state "sample\.a"/);
  });

  it.each(["events", "healthz", "machines", "Orders", "a/b", ""])(
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

  it("refuses the machine's own event types as somebody's", () => {
    const machine = machineWith({});
    const events = { "xstate.done.actor.x": { schema: v.any() } };
    expect(() => registerWorkflows({ samples: { machine, events } })).toThrow(/no event of yours/);
  });
});
