import * as v from "valibot";
import { assign, createMachine, emit, enqueueActions, fromPromise, raise, setup } from "xstate";
import type { Attributes } from "../../src/contract/projection.ts";
import type { EffectContext, WorkflowDefinition } from "../../src/kernel/workflow.ts";

/** What the probe's effects do, set by the tests: they share the Worker's isolate. */
export const world = {
  /** What an actor's run answers; a throw is its failure. */
  actor: (_context: EffectContext<unknown> & { input: unknown }): Promise<unknown> =>
    Promise.resolve("done"),
  action: (_params: unknown, _context: EffectContext<unknown>): Promise<void> => Promise.resolve(),
  emitted: (_event: unknown, _context: EffectContext<unknown>): Promise<void> => Promise.resolve(),
  guard: (): boolean => true,
  /** What the list is to find an instance by. */
  attributes: (_context: { count: number }): unknown => ({}),
  /** What leaves by an action or a route of many, by the name of that one. */
  leave: (_by: string, _what: unknown, _context: EffectContext<unknown>): Promise<void> =>
    Promise.resolve(),
};

const untouched = { ...world };

/** For before each test: what the one before has set is gone. */
export function resetWorld(): void {
  Object.assign(world, untouched);
}

interface ProbeContext {
  count: number;
  result: unknown;
  big: string;
  list: number[];
}

/** A chart with one of everything the engine has to survive. */
const probeMachine = setup({
  types: {} as {
    context: ProbeContext;
    events:
      | {
          type: "COUNT" | "WORK" | "REST" | "NAP" | "TELL" | "THROW_IN_ASSIGN" | "NOT_JSON" | "END";
        }
      | { type: "GUARDED" | "LOOP" | "LATER" | "PUSH" | "PUSH_AND_THROW" }
      | { type: "WAIT_FOR_EVER" | "ENQUEUE_UNKNOWN" }
      | { type: "GROW"; data: { bytes: number } };
    emitted: { type: "probe.told"; count: number };
  },
  actors: { work: fromPromise<unknown, { count: number }>(() => Promise.resolve()) },
  guards: { askTheWorld: () => world.guard() },
  delays: { nap: 60_000, shortNap: 50 },
  actions: {
    count: assign({ count: ({ context }) => context.count + 1 }),
    keep: assign({ result: ({ event }) => ("output" in event ? event.output : null) }),
    keepError: assign({ result: ({ event }) => ("error" in event ? event.error : null) }),
    explode: assign(() => {
      throw new Error("the assign exploded");
    }),
    spoil: assign({ result: () => new Date(0) }),
    grow: assign({ big: ({ event }) => ("data" in event ? "x".repeat(event.data.bytes) : "") }),
    tellTheWorld: (_, _params: { count: number }) => {},
    announce: emit(({ context }) => ({ type: "probe.told" as const, count: context.count })),
    // Charts should not alter their context in place; some will.
    push: assign(({ context }) => {
      context.list.push(context.list.length + 1);
      return { list: context.list };
    }),
    remindMeNever: raise({ type: "LATER" }, { delay: Infinity }),
    remindMe: raise({ type: "LATER" }, { delay: 60_000, id: "reminder" }),
  },
}).createMachine({
  id: "probe",
  context: () => ({ count: 0, result: null, big: "", list: [] }),
  initial: "idle",
  on: {
    COUNT: { actions: "count" },
    THROW_IN_ASSIGN: { actions: ["count", "explode"] },
    NOT_JSON: { actions: "spoil" },
    GROW: { actions: "grow" },
    PUSH: { actions: "push" },
    PUSH_AND_THROW: { actions: ["push", "explode"] },
    WAIT_FOR_EVER: { actions: "remindMeNever" },
    ENQUEUE_UNKNOWN: {
      actions: enqueueActions(({ enqueue }) => enqueue({ type: "nowhere" } as never)),
    },
    GUARDED: { guard: "askTheWorld", actions: "count" },
    LATER: { actions: "count" },
    TELL: {
      actions: [
        "count",
        { type: "tellTheWorld", params: ({ context }) => ({ count: context.count }) },
        "announce",
        "remindMe",
      ],
    },
    END: ".ended",
  },
  states: {
    idle: { on: { WORK: "working", NAP: "napping", LOOP: "looping" } },
    working: {
      invoke: {
        id: "work",
        src: "work",
        input: ({ context }) => ({ count: context.count }),
        onDone: { target: "idle", actions: "keep" },
        onError: { target: "failed", actions: "keepError" },
      },
      on: { REST: "idle" },
    },
    failed: { on: { WORK: "working" } },
    napping: {
      on: { REST: "idle" },
      after: { nap: [{ guard: "askTheWorld", target: "idle", actions: "count" }] },
    },
    looping: { always: "loopingBack" },
    loopingBack: { always: "looping" },
    ended: { type: "final" },
  },
});

export const probe: WorkflowDefinition = {
  machine: probeMachine,
  attributes: (context: ProbeContext) => world.attributes(context) as Attributes,
  effects: {
    actors: { work: { attempts: 3, run: (context) => world.actor(context) } },
    actions: { tellTheWorld: (params, context) => world.action(params, context) },
    routes: { world: (event, context) => world.emitted(event, context) },
  },
};

/** A chart that takes its two events in turn, from services. */
export const turnstile: WorkflowDefinition = {
  machine: createMachine({
    id: "turnstile",
    initial: "locked",
    states: { locked: { on: { COIN: "open" } }, open: { on: { PUSH: "locked" } } },
  }),
  events: {
    COIN: { schema: v.any(), from: ["service"], otherwise: "reject" },
    PUSH: { schema: v.any(), from: ["service"], otherwise: "reject" },
  },
  access: {
    customer: { start: true, instances: "all", sees: "everything" },
    service: { instances: "all" },
  },
};

/** Is erased an hour after its end, by itself. */
export const fleeting: WorkflowDefinition = {
  machine: createMachine({
    id: "fleeting",
    initial: "there",
    states: { there: { on: { END: "gone" } }, gone: { type: "final" } },
  }),
  retention: 60 * 60_000,
};

/** Can't begin while the world's guard throws. */
export const latecomer: WorkflowDefinition = {
  machine: setup({
    types: {} as { context: { begun: boolean } },
    guards: { askTheWorld: () => world.guard() },
  }).createMachine({
    id: "latecomer",
    context: { begun: true },
    initial: "arriving",
    states: { arriving: { always: { guard: "askTheWorld", target: "there" } }, there: {} },
  }),
};
