import * as v from "valibot";
import { assign, createMachine, enqueueActions, fromPromise, setup } from "xstate";
import type { StartInstance, WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { world } from "./probe.ts";

const promise = fromPromise<unknown>(() => Promise.resolve());

/** What came of a helper, in the order in which it came. */
interface Report {
  by: string;
  output?: unknown;
  error?: unknown;
}

/** Has other instances as its actors: invoked by a state, or spawned under any name. */
const parentMachine = setup({
  types: {} as {
    context: { reports: Report[] };
    events:
      | { type: "WAIT"; data: StartInstance }
      | { type: "HIRE"; data: StartInstance & { as: string } }
      | { type: "FIRE"; data: { as: string } }
      | { type: "CALL"; data: { n: number } }
      | { type: "LEAVE" | "END" }
      | { type: "xstate.done.actor.*"; actorId: string; output: unknown }
      | { type: "xstate.error.actor.*"; actorId: string; error: unknown };
  },
  actors: { helper: fromPromise<unknown, StartInstance>(() => Promise.resolve()) },
  actions: {
    report: assign({
      reports: ({ context: { reports }, event }) => {
        if (!("actorId" in event)) return reports;
        const { actorId: by } = event;
        return "error" in event
          ? [...reports, { by, error: event.error }]
          : [...reports, { by, output: event.output }];
      },
    }),
    call: (_, _params: { n: number }) => {},
  },
}).createMachine({
  id: "parent",
  context: { reports: [] },
  initial: "idle",
  on: {
    HIRE: {
      actions: enqueueActions(({ enqueue, event }) => {
        const { as, ...input } = event.data;
        enqueue.spawnChild("helper", { id: as, input });
      }),
    },
    FIRE: {
      actions: enqueueActions(({ enqueue, event }) => enqueue.stopChild(event.data.as)),
    },
    CALL: { actions: { type: "call", params: ({ event }) => event.data } },
    END: ".ended",
    "xstate.done.actor.*": { actions: "report" },
    "xstate.error.actor.*": { actions: "report" },
  },
  states: {
    idle: { on: { WAIT: "waiting" } },
    waiting: {
      invoke: {
        id: "invoked",
        src: "helper",
        input: ({ event }) => (event as { data: StartInstance }).data,
        onDone: { target: "served", actions: "report" },
        onError: { target: "failed", actions: "report" },
      },
      on: { LEAVE: "idle" },
    },
    served: { on: { WAIT: "waiting" } },
    failed: {},
    ended: { type: "final" },
  },
});

export const parent: WorkflowDefinition = {
  machine: parentMachine,
  effects: {
    actors: { helper: { workflow: "helpers", onStop: { type: "DISMISS" } } },
    actions: { call: (params, context) => world.leave("call", params, context) },
  },
};

interface HelperContext {
  task: string;
  notes: unknown[];
}

/** Is asked for by others, and answers them with its end. */
const helperMachine = setup({
  types: {} as {
    context: { task: string; notes: unknown[] };
    input: { task: string };
    output: unknown;
    events:
      { type: "FINISH" | "NOTE" | "LATER"; data?: unknown } | { type: "OPEN" | "FAIL" | "DISMISS" };
  },
  actors: { promise },
  actions: {
    note: assign({
      notes: ({ context, event }) => [...context.notes, "data" in event ? event.data : null],
    }),
  },
}).createMachine({
  id: "helper",
  context: ({ input }) => ({ task: input.task, notes: [] }),
  output: ({ context }: { context: HelperContext }) => ({ ...context }),
  initial: "working",
  on: { NOTE: { actions: "note" }, DISMISS: ".dismissed" },
  states: {
    working: {
      on: { FINISH: { target: "finished", actions: "note" }, FAIL: "failing", OPEN: "open" },
    },
    open: { on: { LATER: { actions: "note" } } },
    // What the promise throws is handled by nobody: the machine ends with it.
    failing: { invoke: { src: "promise" } },
    finished: { type: "final" },
    dismissed: { type: "final" },
  },
});

export const helper: WorkflowDefinition = {
  machine: helperMachine,
  input: v.object({ task: v.string() }),
  effects: { actors: { promise: { attempts: 1, run: (context) => world.actor(context) } } },
};

/** Answers whoever writes to it by writing to them. */
export const echo: WorkflowDefinition = {
  machine: setup({
    types: {} as {
      context: { heard: number };
      events: { type: "PING"; data: { from: string } };
    },
    actions: { answer: (_, _params: { to: string }) => {} },
  }).createMachine({
    id: "echo",
    context: { heard: 0 },
    on: {
      PING: {
        actions: [
          assign({ heard: ({ context }) => context.heard + 1 }),
          { type: "answer", params: ({ event }) => ({ to: event.data.from }) },
        ],
      },
    },
  }),
  effects: {
    actions: {
      answer: (params, context) =>
        context.send("echoes", (params as { to: string }).to, {
          type: "PING",
          data: { from: context.instance.id },
        }),
    },
  },
};

const turn = assign({ turns: ({ context }: { context: { turns: number } }) => context.turns + 1 });

/** Keeps itself busy, by timers or by actors. */
export const spinner: WorkflowDefinition = {
  machine: createMachine(
    {
      id: "spinner",
      context: { turns: 0 },
      initial: "still",
      on: { STOP: ".still" },
      states: {
        still: { on: { BY_TIMERS: "left", BY_ACTORS: "asking" } },
        left: { after: { 0: { target: "right", actions: turn } } },
        right: { after: { 0: { target: "left", actions: turn } } },
        asking: {
          invoke: {
            src: "promise",
            onDone: {
              guard: () => world.guard(),
              target: "asking",
              reenter: true,
              actions: turn,
            },
          },
        },
      },
    },
    { actors: { promise } },
  ),
  transitionsPerMinute: 50,
};
