import { createMachine } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";

/** Counts until it is told to stop: that is how it is cancelled. */
export const cancellable: WorkflowDefinition = {
  machine: createMachine({
    id: "cancellable",
    initial: "counting",
    on: { COUNT: {} },
    states: { counting: { on: { STOP: "stopped", COUNT: {} } }, stopped: { type: "final" } },
  }),
  cancel: "STOP",
};
