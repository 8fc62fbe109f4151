import { assign, enqueueActions, fromPromise, setup } from "xstate";
import type { Action, Route, WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { world } from "./probe.ts";

type Actor = "toil" | "press" | "gate" | "hasty" | "stubborn";

const work = fromPromise<unknown, { n: number }>(() => Promise.resolve());

/** A chart whose events say what is to leave: actions, emitted events, actors. */
const lanesMachine = setup({
  types: {} as {
    context: { done: string[]; failed: unknown[] };
    events:
      | { type: "SEND"; data: { by: string[]; n: number } }
      | { type: "SAY"; data: { types: string[]; n: number } }
      | { type: "WORK"; data: { actor: Actor; from: number; to: number } }
      | { type: "STOP"; data: { id: string } }
      | { type: "xstate.done.actor.*"; actorId: string }
      | { type: "xstate.error.actor.*"; error: unknown };
    emitted: { type: string; n: number };
  },
  actors: { toil: work, press: work, gate: work, hasty: work, stubborn: work },
  actions: {
    post: (_, _params: { n: number }) => {},
    courier: (_, _params: { n: number }) => {},
    rail: (_, _params: { n: number }) => {},
    stamp: (_, _params: { n: number }) => {},
    letterbox: (_, _params: { n: number }) => {},
    send: enqueueActions(({ enqueue, event }) => {
      if (event.type !== "SEND") return;
      const { by, n } = event.data;
      for (const type of by) enqueue({ type, params: { n } } as never);
    }),
    say: enqueueActions(({ enqueue, event }) => {
      if (event.type !== "SAY") return;
      const { types, n } = event.data;
      for (const type of types) enqueue.emit({ type, n });
    }),
    work: enqueueActions(({ enqueue, event }) => {
      if (event.type !== "WORK") return;
      const { actor, from, to } = event.data;
      for (let n = from; n <= to; n++) {
        enqueue.spawnChild(actor, { id: `${actor}-${n}`, input: { n } });
      }
    }),
    stop: enqueueActions(({ enqueue, event }) => {
      if (event.type === "STOP") enqueue.stopChild(event.data.id);
    }),
    noteDone: assign({
      done: ({ context, event }) =>
        "actorId" in event ? [...context.done, event.actorId] : context.done,
    }),
    noteFailed: assign({
      failed: ({ context, event }) =>
        "error" in event ? [...context.failed, event.error] : context.failed,
    }),
  },
}).createMachine({
  id: "lanes",
  context: { done: [], failed: [] },
  on: {
    SEND: { actions: "send" },
    SAY: { actions: "say" },
    WORK: { actions: "work" },
    STOP: { actions: "stop" },
    "xstate.done.actor.*": { actions: "noteDone" },
    "xstate.error.actor.*": { actions: "noteFailed" },
  },
});

const leaving =
  (by: string): Extract<Action<unknown, unknown>, (...all: never[]) => unknown> =>
  (params, context) =>
    world.leave(by, params, context);

const heard =
  (by: string): Extract<Route<unknown, unknown>, (...all: never[]) => unknown> =>
  (event, context) =>
    world.leave(by, event, context);

export const lanes: WorkflowDefinition = {
  machine: lanesMachine,
  effects: {
    actors: {
      toil: { run: (context) => world.actor(context) },
      press: { destination: "press", run: (context) => world.actor(context) },
      gate: { destination: "gate", run: (context) => world.actor(context) },
      hasty: { timeout: 30, attempts: 2, run: (context) => world.actor(context) },
      stubborn: {
        attempts: 4,
        backoff: { first: 60_000, longest: 120_000 },
        run: (context) => world.actor(context),
      },
    },
    actions: {
      // Two ways to one destination.
      post: { destination: "street", run: leaving("post") },
      courier: { destination: "street", run: leaving("courier") },
      rail: leaving("rail"),
      stamp: { destination: "meter", run: leaving("stamp") },
      letterbox: { destination: "letterbox", run: leaving("letterbox") },
    },
    routes: {
      made: { types: ["order.made"], deliver: heard("made") },
      orders: { types: ["order.*"], deliver: heard("orders") },
      all: heard("all"),
    },
  },
};
