import * as v from "valibot";
import { assign, fromPromise, raise, sendTo, setup } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { world } from "./probe.ts";

/** A child with a state, a context and a timer of its own. */
const childMachine = setup({
  types: {} as { context: { pokes: number } },
  delays: { nap: 7_200_000 },
}).createMachine({
  id: "child",
  context: { pokes: 0 },
  initial: "asleep",
  on: { POKE: { actions: assign({ pokes: ({ context }) => context.pokes + 1 }) } },
  states: { asleep: { after: { nap: "awake" } }, awake: {} },
});

/** Never ends; has one of all that must survive when its history begins again. */
const endlessMachine = setup({
  types: {} as {
    context: { count: number; got: unknown; rung: number; late: number };
    events: { type: "COUNT" | "REMIND" | "RUNG" | "POKE" | "TELL" | "WORK" | "LATER" };
  },
  actors: { child: childMachine, work: fromPromise<unknown>(() => Promise.resolve()) },
  actions: {
    count: assign({ count: ({ context }) => context.count + 1 }),
    tell: (_, _params: { n: number }) => {},
  },
}).createMachine({
  id: "endless",
  context: { count: 0, got: null, rung: 0, late: 0 },
  invoke: { id: "child", src: "child" },
  initial: "idle",
  on: {
    COUNT: { actions: "count" },
    REMIND: { actions: raise({ type: "RUNG" }, { delay: 3_600_000, id: "reminder" }) },
    RUNG: { actions: assign({ rung: ({ context }) => context.rung + 1 }) },
    POKE: { actions: sendTo("child", { type: "POKE" }) },
    TELL: { actions: { type: "tell", params: ({ context }) => ({ n: context.count }) } },
  },
  states: {
    idle: { on: { WORK: "busy" } },
    busy: {
      invoke: {
        id: "work",
        src: "work",
        onDone: { target: "idle", actions: assign({ got: ({ event }) => event.output }) },
      },
      on: { LATER: { actions: assign({ late: ({ context }) => context.late + 1 }) } },
    },
  },
});

const schema = v.optional(v.any());

export const endless: WorkflowDefinition = {
  machine: endlessMachine,
  continueAfter: 100,
  events: {
    COUNT: { schema, otherwise: "ignore" },
    REMIND: { schema },
    RUNG: { schema },
    POKE: { schema },
    TELL: { schema },
    WORK: { schema },
    LATER: { schema, otherwise: "defer" },
  },
  effects: {
    actors: { work: { run: (context) => world.actor(context) } },
    actions: { tell: (params, context) => world.leave("tell", params, context) },
  },
};
