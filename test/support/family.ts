import {
  assign,
  fromPromise,
  fromTransition,
  sendParent,
  sendTo,
  setup,
  spawnChild,
  stopChild,
  type AnyActorRef,
} from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { world } from "./probe.ts";

const tally = fromTransition(
  (sum: number, event: { type: "ADD"; by: number }) =>
    event.type === "ADD" ? sum + event.by : sum,
  0,
);

const grandchildMachine = setup({
  types: {} as { context: { pokes: number }; events: { type: "POKE" } },
  delays: { nap: 60_000 },
}).createMachine({
  id: "grandchild",
  context: { pokes: 0 },
  initial: "asleep",
  on: {
    POKE: {
      actions: [
        assign({ pokes: ({ context }) => context.pokes + 1 }),
        sendTo(
          ({ system }) => system.get("tally")!,
          () => ({ type: "ADD", by: 1 }),
        ),
      ],
    },
  },
  states: {
    asleep: { after: { nap: "awake" } },
    awake: { entry: sendParent({ type: "WOKE" }) },
  },
});

const childMachine = setup({
  types: {} as {
    context: { name: string; count: number; got: unknown };
    input: { name: string };
    events: { type: "POKE" | "WOKE" | "WORK" | "REST" | "GUARDED" | "FINISH" };
    output: { name: string; count: number };
  },
  actors: { grandchild: grandchildMachine, work: fromPromise<unknown>(() => Promise.resolve()) },
  guards: { askTheWorld: () => world.guard() },
  actions: { count: assign({ count: ({ context }) => context.count + 1 }) },
}).createMachine({
  id: "child",
  context: ({ input }) => ({ name: input.name, count: 0, got: null }),
  output: ({ context: { name, count } }) => ({ name, count }),
  invoke: { id: "grandchild", src: "grandchild" },
  initial: "idle",
  on: {
    POKE: { actions: sendTo("grandchild", { type: "POKE" }) },
    WOKE: {
      actions: ["count", sendParent(({ context: { name } }) => ({ type: "CHILD_WOKE", name }))],
    },
    GUARDED: { guard: "askTheWorld", actions: "count" },
    FINISH: ".finished",
  },
  states: {
    idle: { on: { WORK: "working" } },
    working: {
      invoke: {
        id: "work",
        src: "work",
        onDone: { target: "idle", actions: assign({ got: ({ event }) => event.output }) },
      },
      on: { REST: "idle" },
    },
    finished: { type: "final" },
  },
});

interface FamilyContext {
  log: string[];
  youngest: AnyActorRef | null;
  snapshots: number;
}

/** Actors two levels deep, invoked and spawned, reached in all the ways there are. */
const familyMachine = setup({
  types: {} as {
    context: FamilyContext;
    events:
      | { type: "BEAR" | "ADD" | "STOP_YOUNGEST" | "MIND" | "LEAVE" }
      | { type: "TO_ELDEST" | "TO_YOUNGEST" | "TO_MINDED"; data: { type: "POKE" } }
      | { type: "CHILD_WOKE"; name: string };
  },
  actors: { child: childMachine, tally },
  actions: {
    log: assign({ log: ({ context, event }) => [...context.log, event.type] }),
  },
}).createMachine({
  id: "family",
  context: { log: [], youngest: null, snapshots: 0 },
  entry: spawnChild("tally", { id: "tally", systemId: "tally" }),
  initial: "home",
  on: {
    ADD: {
      actions: sendTo(
        ({ system }) => system.get("tally")!,
        () => ({ type: "ADD", by: 10 }),
      ),
    },
    BEAR: {
      actions: assign({
        youngest: ({ spawn }) => spawn("child", { id: "youngest", input: { name: "youngest" } }),
      }),
    },
    TO_ELDEST: { actions: ["log", sendTo("eldest", ({ event }) => event.data)] },
    TO_YOUNGEST: {
      actions: [
        "log",
        sendTo(
          ({ context }) => context.youngest!,
          ({ event }) => event.data,
        ),
      ],
    },
    STOP_YOUNGEST: { actions: stopChild("youngest") },
    CHILD_WOKE: {
      actions: assign({ log: ({ context, event }) => [...context.log, `${event.name} woke`] }),
    },
  },
  states: {
    home: {
      invoke: {
        id: "eldest",
        src: "child",
        systemId: "eldest",
        input: { name: "eldest" },
        onSnapshot: { actions: assign({ snapshots: ({ context }) => context.snapshots + 1 }) },
        onDone: {
          target: "alone",
          actions: assign({
            log: ({ context, event }) => [...context.log, JSON.stringify(event.output)],
          }),
        },
      },
      on: { MIND: "minding" },
    },
    minding: {
      invoke: {
        id: "minded",
        src: "child",
        input: { name: "minded" },
        onError: {
          target: "alone",
          actions: assign({
            log: ({ context, event }) => [...context.log, (event.error as Error).message],
          }),
        },
      },
      on: {
        TO_MINDED: { actions: ["log", sendTo("minded", ({ event }) => event.data)] },
        LEAVE: "alone",
      },
    },
    alone: {},
  },
});

export const family: WorkflowDefinition = {
  machine: familyMachine,
  effects: { actors: { work: { run: (context) => world.actor(context) } } },
};
