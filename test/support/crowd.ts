import { assign, enqueueActions, sendTo, setup } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";

const memberMachine = setup({
  types: {} as { context: { text: string }; events: { type: "GROW"; bytes: number } },
}).createMachine({
  id: "member",
  context: { text: "" },
  on: { GROW: { actions: assign({ text: ({ event }) => "x".repeat(event.bytes) }) } },
});

interface CrowdContext {
  fired: number;
  last: number;
  isInOrder: boolean;
}

/** Sets and cancels as many timers, and has as many children, as its events say. */
const crowdMachine = setup({
  types: {} as {
    context: CrowdContext;
    events:
      | { type: "SET" | "SPAWN"; data: { from: number; to: number } }
      | { type: "CANCEL"; data: { n: number } }
      | { type: "GROW"; data: { n: number; bytes: number } }
      | { type: "TICK"; n: number };
  },
  actors: { member: memberMachine },
}).createMachine({
  id: "crowd",
  context: { fired: 0, last: 0, isInOrder: true },
  on: {
    // The latest first: the order in which they are set is not the one in which they are due.
    SET: {
      actions: enqueueActions(({ enqueue, event }) => {
        const { from, to } = event.data;
        for (let n = to; n >= from; n--) {
          enqueue.raise({ type: "TICK", n }, { id: `t${n}`, delay: 1_000 + n });
        }
      }),
    },
    CANCEL: {
      actions: enqueueActions(({ enqueue, event }) => enqueue.cancel(`t${event.data.n}`)),
    },
    TICK: {
      actions: assign({
        fired: ({ context }) => context.fired + 1,
        last: ({ event }) => event.n,
        isInOrder: ({ context, event }) => context.isInOrder && event.n > context.last,
      }),
    },
    SPAWN: {
      actions: enqueueActions(({ enqueue, event }) => {
        const { from, to } = event.data;
        for (let n = from; n <= to; n++) enqueue.spawnChild("member", { id: `m${n}` });
      }),
    },
    GROW: {
      actions: sendTo(
        ({ event }) => `m${event.data.n}`,
        ({ event }) => ({ type: "GROW", bytes: event.data.bytes }),
      ),
    },
  },
});

export const crowd: WorkflowDefinition = { machine: crowdMachine };
