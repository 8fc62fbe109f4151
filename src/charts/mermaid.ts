import type { AnyStateMachine, AnyStateNode } from "xstate";
import { allNodes } from "../kernel/allowed.ts";

type Transition = NonNullable<AnyStateNode["always"]>[number];

/** The chart as a Mermaid state diagram: every state, edge, guard, action and delay. */
export function toMermaid(machine: AnyStateMachine): string {
  const { root } = machine;
  const lines = [
    "stateDiagram-v2",
    ...statesOf(root, "  "),
    ...allNodes(root).flatMap((node) => edgesOf(machine, node)),
  ];
  return `${lines.join("\n")}\n`;
}

function statesOf(node: AnyStateNode, indent: string): string[] {
  const initial = node.initial?.target.map((target) => `${indent}[*] --> ${idOf(target)}`) ?? [];
  const states = Object.values(node.states).flatMap((child) => {
    const label = `${indent}state "${[child.key, ...doings(child)].join("<br/>")}" as ${idOf(child)}`;
    if (Object.keys(child.states).length === 0) return [label];
    return [
      label,
      `${indent}state ${idOf(child)} {`,
      ...statesOf(child, `${indent}  `),
      `${indent}}`,
    ];
  });
  const separator = node.type === "parallel" ? [`${indent}--`] : [];
  const ends = Object.values(node.states)
    .filter((child) => child.type === "final")
    .map((child) => `${indent}${idOf(child)} --> [*]`);
  return [...initial, ...(separator.length > 0 ? interleave(states, separator) : states), ...ends];
}

function interleave(states: string[], separator: string[]): string[] {
  return states.flatMap((line, index) => (index === 0 ? [line] : [...separator, line]));
}

/** What a state does by itself: entry and exit actions, and the actors it runs. */
function doings(node: AnyStateNode): string[] {
  const timers = /^xstate\.(after|cancel)|^raise$|^cancel$/;
  const named = (actions: readonly unknown[]) =>
    actions.map(nameOf).filter((name) => !timers.test(name));
  return [
    ...named(node.entry).map((name) => `entry / ${name}`),
    ...node.invoke.map((invoke) => `invoke / ${invoke.src as string}`),
    ...named(node.exit).map((name) => `exit / ${name}`),
  ];
}

/** One line for each pair of states; Mermaid would draw several edges between two over each other. */
function edgesOf(machine: AnyStateMachine, node: AnyStateNode): string[] {
  const labels = new Map<string, string[]>();
  for (const transition of [...[...node.transitions.values()].flat(), ...(node.always ?? [])]) {
    for (const target of transition.target ?? [node]) {
      const pair = `  ${idOf(node)} --> ${idOf(target)}`;
      labels.set(pair, [...(labels.get(pair) ?? []), labelOf(machine, transition)]);
    }
  }
  return [...labels].map(([pair, texts]) => `${pair}: ${texts.join("<br/>")}`);
}

function labelOf(machine: AnyStateMachine, transition: Transition): string {
  const { guard, actions } = transition;
  return [
    eventOf(machine, transition),
    ...(guard === undefined ? [] : [`[${nameOf(guard)}]`]),
    ...(actions.length === 0 ? [] : [`/ ${actions.map(nameOf).join(", ")}`]),
  ].join(" ");
}

function eventOf(machine: AnyStateMachine, { eventType }: Transition): string {
  const [, kind, rest = ""] = /^xstate\.(after|done\.actor|error\.actor|done\.state)\.(.+)$/.exec(
    eventType,
  ) ?? [undefined, "event"];
  switch (kind) {
    case "after": {
      const delay = rest.split(".", 1)[0]!;
      const value: unknown = machine.implementations.delays[delay] ?? Number(delay);
      return typeof value === "number" ? `after ${delay} (${duration(value)})` : `after ${delay}`;
    }
    case "done.actor":
      return `done ${rest}`;
    case "error.actor":
      return `error ${rest}`;
    case "done.state":
      return "done";
    default:
      return eventType === "" ? "always" : eventType;
  }
}

function nameOf(thing: unknown): string {
  if (typeof thing === "string") return thing;
  if (typeof thing === "function") return thing.name || "inline";
  return (thing as { type: string }).type;
}

function idOf(node: AnyStateNode): string {
  return node.path.length === 0 ? node.machine.id : node.path.join("_");
}

/** Milliseconds in the largest unit that leaves a whole number. */
function duration(milliseconds: number): string {
  const units = [
    ["d", 86_400_000],
    ["h", 3_600_000],
    ["min", 60_000],
    ["s", 1_000],
  ] as const;
  const unit = units.find(([, length]) => milliseconds >= length && milliseconds % length === 0);
  return unit === undefined ? `${milliseconds} ms` : `${milliseconds / unit[1]} ${unit[0]}`;
}
