import type { AnyStateNode } from "xstate";

export interface PossibleEvent {
  type: string;
  guard: "passes" | "depends";
}

/** The event types that have a transition in these active states, in the chart's order. */
export function possibleEvents(nodes: readonly AnyStateNode[]): PossibleEvent[] {
  const found = new Map<string, PossibleEvent>();
  const inDocumentOrder = nodes.toSorted((a, b) => a.order - b.order);
  for (const node of inDocumentOrder) {
    for (const [type, transitions] of node.transitions) {
      if (isInternalEventType(type)) continue;
      const active = transitions.filter((t) => t.target !== undefined || t.actions.length > 0);
      if (active.length === 0) continue;
      const guarded = active.every((transition) => transition.guard !== undefined);
      if (!guarded || found.get(type)?.guard === "passes") {
        found.set(type, { type, guard: "passes" });
      } else {
        found.set(type, { type, guard: "depends" });
      }
    }
  }
  return [...found.values()];
}

/** The guards that an event's transitions have in these active states, by name. */
export function guardsOf(nodes: readonly AnyStateNode[], type: string): string[] {
  const guards = nodes.flatMap((node) => (node.transitions.get(type) ?? []).map((t) => t.guard));
  return guards.flatMap((guard: unknown) => {
    if (guard === undefined) return [];
    if (typeof guard === "string") return [guard];
    return [
      typeof guard === "function" ? guard.name || "inline" : (guard as { type: string }).type,
    ];
  });
}

/** The machine's own bookkeeping; such a type must never come from outside. */
function isInternalEventType(type: string): boolean {
  return type === "" || type.startsWith("xstate.");
}

/** Whether a chart's event descriptor (`a`, `a.*`, `*`) covers an event type. */
export function descriptorCovers(descriptor: string, type: string): boolean {
  if (descriptor === "*" || descriptor === type) return true;
  if (!descriptor.endsWith(".*")) return false;
  const prefix = descriptor.slice(0, -2);
  return type === prefix || type.startsWith(`${prefix}.`);
}

/** Every state node below and including `node`. */
export function allNodes(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states).flatMap(allNodes)];
}

/** Every event descriptor the chart names, but for internal ones. */
export function eventDescriptors(root: AnyStateNode): string[] {
  const all = allNodes(root).flatMap((node) => [...node.transitions.keys()]);
  return [...new Set(all)].filter((type) => !isInternalEventType(type));
}
