import type { AnyMachineSnapshot } from "xstate";
import { Unsupported } from "./errors.ts";
import { describe } from "./step.ts";

/** Lists of active states that were found good already. */
const legal = new WeakSet<object>();

/**
 * Transitions across the regions of a parallel state can lead XState into two states of one region at
 * once, or into none. The state's value can't say so: restored, it would be another state.
 *
 * @see https://www.w3.org/TR/scxml/#LegalStateConfigurations
 */
export function checkConfiguration({ _nodes: nodes, machine, value }: AnyMachineSnapshot): void {
  if (legal.has(nodes)) return;
  const active = new Set(nodes);
  for (const node of nodes) {
    const children = Object.values(node.states).filter(({ type }) => type !== "history");
    const count = children.filter((child) => active.has(child)).length;
    const wanted = node.type === "compound" ? 1 : node.type === "parallel" ? children.length : 0;
    if (count === wanted && (node.parent === undefined || active.has(node.parent))) continue;
    throw new Unsupported(
      { machine: machine.id, state: describe({ value }) },
      `XState has got into states that can't be active together, at "${node.id}"`,
      "Look for transitions of one region that lead into another; let them leave the parallel state as a whole.",
    );
  }
  legal.add(nodes);
}
