import type { AnyStateNode, EventObject } from "xstate";
import { eventOf, foretell, readOnly, type Foretold, type Question } from "./guards.ts";
import { Run } from "./run.ts";
import type { MachineState } from "./step.ts";

/** Whether an event has a transition that does something: in any case, in none, or by what it carries. */
export type Outlook = "passes" | "fails" | "depends";

/** An event type, or a wildcard, that has a transition in the active states. */
export interface Prospect {
  readonly type: string;
  /** Null where no guard has a say: it passes. */
  readonly open: { readonly plan: Plan; readonly event: EventObject } | null;
}

/** Where XState looks for a transition: within first, and then at the node itself. */
interface Plan {
  readonly inner: readonly Plan[];
  readonly own: readonly Candidate[];
}

interface Candidate {
  /** Without, the event is taken and does nothing: it is forbidden. */
  readonly doesSomething: boolean;
  readonly guard: unknown;
}

/**
 * What may happen in these active states, whatever the context, in the chart's order.
 *
 * @param known the event types that there are; without, wildcards are listed as they are
 */
export function prospectsOf(
  nodes: readonly AnyStateNode[],
  known?: readonly string[],
): readonly Prospect[] {
  const inDocumentOrder = nodes.toSorted((a, b) => a.order - b.order);
  const types = new Set<string>();
  for (const node of inDocumentOrder) {
    for (const descriptor of node.transitions.keys()) {
      if (isInternalEventType(descriptor)) continue;
      if (known === undefined) types.add(descriptor);
      else for (const type of known) if (descriptorCovers(descriptor, type)) types.add(type);
    }
  }
  return [...types].flatMap((type) => {
    const isWildcard = known === undefined && type.endsWith("*");
    // A wildcard stands for what no other descriptor names.
    const plan = planOf(inDocumentOrder, isWildcard ? `${type.slice(0, -1)}\0` : type);
    let isGuarded = false;
    const most = outcomesOf(plan, () => {
      isGuarded = true;
      return "depends";
    });
    if ((most & ACTS) === 0) return [];
    const open = isGuarded ? { plan, event: eventOf(isWildcard ? null : type) } : null;
    return [{ type, open }];
  });
}

/** What becomes of each of them now, in their order. It asks the guards, and changes nothing. */
export function outlook(prospects: readonly Prospect[], state: MachineState): readonly Outlook[] {
  if (prospects.every(({ open }) => open === null)) return prospects.map(() => "passes");
  const { snapshot, system } = state;
  const context = readOnly(snapshot.context);
  // Guards may look at the actors: as in a step, and what they did there is forgotten.
  return system.during(new Run(system, state), () =>
    prospects.map(({ open }) => {
      if (open === null) return "passes";
      const question: Question = { snapshot, about: { context, event: open.event } };
      const outcomes = outcomesOf(open.plan, (guard) => foretell(guard, question));
      if (outcomes === ACTS) return "passes";
      return (outcomes & (ACTS | BREAKS)) === 0 ? "fails" : "depends";
    }),
  );
}

// What may become of an event; a set of these, as bits.
const PASSED_BY = 1;
const FORBIDDEN = 2;
const ACTS = 4;
const BREAKS = 8;

function planOf(inDocumentOrder: readonly AnyStateNode[], type: string): Plan {
  const plans = new Map<AnyStateNode, Plan & { inner: Plan[] }>();
  for (const node of inDocumentOrder) {
    const plan = { inner: [], own: candidatesOf(node, type) };
    plans.set(node, plan);
    if (node.parent !== undefined) plans.get(node.parent)!.inner.push(plan);
  }
  return plans.get(inDocumentOrder[0]!)!;
}

/** A node's transitions for an event, in the order in which XState tries them. */
function candidatesOf(node: AnyStateNode, type: string): Candidate[] {
  const wildcards = [...node.transitions.keys()]
    .filter((descriptor) => descriptor !== type && descriptorCovers(descriptor, type))
    .toSorted((a, b) => b.length - a.length);
  return [type, ...wildcards].flatMap((descriptor) =>
    (node.transitions.get(descriptor) ?? []).map(({ target, actions, guard }) => ({
      doesSomething: target !== undefined || actions.length > 0,
      guard: guard as unknown,
    })),
  );
}

function outcomesOf(plan: Plan, ask: (guard: unknown) => Foretold): number {
  let found = PASSED_BY;
  for (const inner of plan.inner) found = both(found, outcomesOf(inner, ask));
  // What is sure to be selected within keeps the event from this node.
  if ((found & PASSED_BY) === 0) return found;
  found &= ~PASSED_BY;
  for (const { guard, doesSomething } of plan.own) {
    const says = guard === undefined ? "passes" : ask(guard);
    if (says === "fails") continue;
    if (says === "throws") return found | BREAKS;
    found |= doesSomething ? ACTS : FORBIDDEN;
    if (says === "passes") return found;
  }
  return found | PASSED_BY;
}

/** Of two regions side by side: what does something counts, before what is forbidden. */
function both(a: number, b: number): number {
  const isForbidden =
    ((a & FORBIDDEN) !== 0 && (b & (PASSED_BY | FORBIDDEN)) !== 0) ||
    ((b & FORBIDDEN) !== 0 && (a & (PASSED_BY | FORBIDDEN)) !== 0);
  return ((a | b) & (ACTS | BREAKS)) | (a & b & PASSED_BY) | (isForbidden ? FORBIDDEN : 0);
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
