import type { AnyStateMachine } from "xstate";

/**
 * The chart's structure as JSON, the way Stately imports it: `createMachine` of it gives the same
 * chart. Functions have no place in it; what has a name under `setup()` keeps its name.
 */
export function toJson(machine: AnyStateMachine): string {
  return `${JSON.stringify(machine.config, null, 2)}\n`;
}
