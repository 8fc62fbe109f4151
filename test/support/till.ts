import * as v from "valibot";
import { assign, createMachine, setup } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { runInNode, type NodeInstance } from "../../src/testing/index.ts";

const machine = setup({
  types: {} as { context: { paid: number }; events: { type: string; data?: number } },
  actors: { child: createMachine({ id: "child" }) },
  actions: {
    pay: assign({ paid: ({ context, event }) => context.paid + (event.data ?? 0) }),
  },
}).createMachine({
  id: "till",
  context: { paid: 0 },
  initial: "open",
  on: { PAY: { actions: "pay" }, CLOSE: ".closed" },
  states: {
    open: { after: { 60_000: "waiting" } },
    waiting: { invoke: { src: "child", id: "child" }, on: { GO: "open" } },
    closed: {},
  },
});

/** Takes payments; what it has no use for waits. */
export const till: WorkflowDefinition = {
  machine,
  events: {
    PAY: { schema: v.any(), from: ["operator"], otherwise: "defer" },
    GO: { schema: v.any(), from: ["operator"], otherwise: "defer" },
    CLOSE: { schema: v.any(), from: ["operator"], otherwise: "reject" },
  },
};

export interface TillOptions {
  id?: string;
  /** The workflow, where it is not the till's own. */
  of?: WorkflowDefinition;
  /** May be changed later: a restarted instance has the new ones. */
  env?: { JOURNAL_KEYS?: string };
}

/** A till that has been paid so often. */
export async function paid(
  payments: number,
  { id = "a", of = till, env = {} }: TillOptions,
): Promise<NodeInstance> {
  const instance = runInNode(of, { id, env });
  await instance.start({});
  for (let n = 1; n <= payments; n++) await instance.send({ type: "PAY", data: n }, `k${n}`);
  return instance;
}
