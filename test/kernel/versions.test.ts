import { assign, createMachine, fromPromise, setup, type AnyStateMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import type { Workflows } from "../../src/kernel/workflow.ts";
import { machineHash } from "../../src/versions/fingerprint.ts";
import { complaints, unreleased, withReleased } from "../../src/versions/lock.ts";

const lamp = (version: string, { delay = 1_000, step = 1, on = "on" } = {}): AnyStateMachine => {
  const parts = setup({
    types: {} as { context: { times: number } },
    guards: { isFirst: ({ context }) => context.times < 10 },
    actions: {
      count:
        step === 1
          ? assign({ times: ({ context }) => context.times + 1 })
          : assign({ times: ({ context }) => context.times + 2 }),
    },
    actors: { ask: fromPromise(() => Promise.resolve(1)) },
    delays: { rest: delay },
  }) as unknown as { createMachine(config: object): AnyStateMachine };
  return parts.createMachine({
    id: "lamp",
    version,
    context: { times: 0 },
    initial: "off",
    states: {
      off: { on: { PRESS: { guard: "isFirst", target: on, actions: "count" } } },
      [on]: { after: { rest: "off" } },
    },
  });
};

const released = (workflows: Workflows) => withReleased(registerWorkflows(workflows), {});

describe("a version's hash", () => {
  it("is the same for the same chart", () => {
    expect(machineHash(lamp("1"))).toBe(machineHash(lamp("1")));
  });

  it.each([
    ["a state", lamp("1", { on: "shining" })],
    ["a delay", lamp("1", { delay: 2_000 })],
    ["what an action does", lamp("1", { step: 2 })],
    [
      "what an actor does",
      lamp("1").provide({ actors: { ask: fromPromise(() => Promise.resolve(2)) } } as never),
    ],
    ["what a guard says", lamp("1").provide({ guards: { isFirst: () => true } } as never)],
  ])("is another for another: %s", (_, other) => {
    expect(machineHash(other)).not.toBe(machineHash(lamp("1")));
  });

  it("looks into child machines, be they their own", () => {
    const child = (target: string) =>
      createMachine({ id: "c", initial: "a", states: { a: { on: { GO: target } }, b: {}, d: {} } });
    const parent = (target: string) =>
      setup({ actors: { child: child(target) } }).createMachine({
        id: "p",
        invoke: { src: "child" },
      });
    expect(machineHash(parent("b"))).not.toBe(machineHash(parent("d")));
  });
});

describe("the lock of released versions", () => {
  it("is content with what is as it was released, and with what is not released yet", () => {
    const lock = released({ lamps: lamp("1") });
    const now = registerWorkflows({
      lamps: { machine: lamp("2", { delay: 5_000 }), versions: [{ machine: lamp("1") }] },
    });
    expect(complaints(now, lock)).toEqual([]);
    expect(unreleased(now, lock)).toEqual(["lamps 2"]);
    expect(unreleased(now, withReleased(now, lock))).toEqual([]);
  });

  it.each<[string, Workflows, RegExp]>([
    ["edited", { lamps: lamp("1", { delay: 5_000 }) }, /Version 1 of "lamps".*edited/],
    ["left out", { lamps: lamp("2") }, /Version 1 of "lamps".*not deployed any more/],
    ["gone with its workflow", { others: lamp("1") }, /Version 1 of "lamps".*not deployed/],
  ])("complains of one that was %s", (_, workflows, complaint) => {
    const found = complaints(registerWorkflows(workflows), released({ lamps: lamp("1") }));
    expect(found).toEqual([expect.stringMatching(complaint)]);
  });

  it("complains of an earlier version that was never released", () => {
    const workflows = { lamps: { machine: lamp("2"), versions: [{ machine: lamp("1") }] } };
    const found = complaints(registerWorkflows(workflows), {});
    expect(found).toEqual([
      expect.stringMatching(/Version 1 of "lamps".*was not: npm run release/),
    ]);
  });

  it("never changes what is locked, and forgives what is retired", () => {
    const lock = released({ lamps: lamp("1") });
    const edited = registerWorkflows({ lamps: lamp("1", { delay: 5_000 }) });
    expect(withReleased(edited, lock)).toEqual(lock);
    lock["lamps"]!["1"]!.retired = true;
    expect(complaints(registerWorkflows({ lamps: lamp("2") }), lock)).toEqual([]);
  });
});

describe("an earlier version", () => {
  it("is cancelled, found and kept as its workflow says, unless it says otherwise", () => {
    const attributes = () => ({ kind: "lamp" });
    const whole = { cancel: "PRESS", attributes, retention: 1_000 };
    const workflows = registerWorkflows({
      lamps: { machine: lamp("2"), ...whole, versions: [{ machine: lamp("1"), retention: 5_000 }] },
    });
    const first = workflows.get("lamps")!.versions.get("1");
    expect(first).toMatchObject({ version: "1", cancel: "PRESS", attributes, retention: 5_000 });
  });
});
