import { assign, fromPromise, setup } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";

export const never = (): Promise<never> => new Promise(() => {});

/** Works on request, and can be asked anything at any time. */
export function worker(version = "1") {
  return setup({
    types: {} as { context: { text: string; notes: number } },
    actors: { charge: fromPromise<unknown>(never), ship: fromPromise<unknown>(never) },
  }).createMachine({
    id: "worker",
    version,
    context: { text: "", notes: 0 },
    initial: "idle",
    on: {
      NOTE: { actions: assign({ notes: ({ context }) => context.notes + 1 }) },
      SAY: { actions: assign({ text: ({ event }) => (event as { data?: string }).data ?? "" }) },
      END: ".ended",
    },
    states: {
      idle: { on: { CHARGE: "charging", SHIP: "shipping" } },
      charging: { invoke: { id: "charge", src: "charge", onDone: "idle" }, on: { LEAVE: "idle" } },
      shipping: { invoke: { id: "ship", src: "ship", onDone: "idle" }, on: { LEAVE: "idle" } },
      ended: { type: "final" },
    },
  });
}

export const shipments: WorkflowDefinition = {
  machine: worker(),
  effects: { actors: { ship: { workflow: "tests", onStop: { type: "LEAVE" } } } },
};
