import type { AnyStateMachine, AnyStateNode } from "xstate";
import { allNodes } from "./allowed.ts";
import { Unsupported } from "./errors.ts";
import { findActorLogic, kindOf } from "./xstate.ts";

/**
 * Refuses what can be seen to be unable to run durably, in the machine and in its child machines.
 *
 * @throws Unsupported naming the state and the remedy
 */
export function checkMachine(machine: AnyStateMachine): void {
  const checked = new Set<AnyStateMachine>();
  const toCheck = [machine];
  for (let next = toCheck.pop(); next !== undefined; next = toCheck.pop()) {
    if (checked.has(next)) continue;
    checked.add(next);
    const checking = new Checking(next);
    for (const node of allNodes(next.root)) checking.node(node);
    toCheck.push(...checking.children);
  }
}

interface Place {
  machine: string;
  state: string;
}

class Checking {
  readonly #machine: AnyStateMachine;
  /** Child machines that the chart names. */
  readonly children: AnyStateMachine[] = [];
  #place: Place;

  constructor(machine: AnyStateMachine) {
    this.#machine = machine;
    this.#place = { machine: machine.id, state: machine.root.id };
  }

  node(node: AnyStateNode): void {
    this.#place = { machine: this.#machine.id, state: node.id };
    const transitions = [...[...node.transitions.values()].flat(), ...(node.always ?? [])];
    for (const action of node.entry) this.#action("entry", action);
    for (const action of node.exit) this.#action("exit", action);
    for (const action of node.type === "compound" ? node.initial.actions : []) {
      this.#action("initial", action);
    }
    for (const { eventType, actions, guard } of transitions) {
      const when = `on ${eventType || "always"}`;
      for (const action of actions) this.#action(when, action);
      this.#guard(guard);
    }
    for (const delay of Object.keys((node.config as { after?: object }).after ?? {})) {
      if (Number.isNaN(Number(delay))) this.#delay(delay);
    }
    for (const { src } of node.invoke) this.#actor(src as unknown);
  }

  #actor(src: unknown): void {
    if (typeof src !== "string" || src.startsWith("xstate.invoke.")) {
      this.#refuse(
        "it invokes or spawns logic that has no name, so that it couldn't be found again",
        "Give the logic a name under setup({ actors }) and use it by that name.",
      );
    }
    const logic = findActorLogic(this.#machine, src);
    if (logic === undefined) {
      this.#refuse(
        `the actor "${src}" is unknown`,
        "Add it to setup({ actors }) or to the workflow's effects.",
      );
    }
    const kind = kindOf(logic);
    if (kind === null) {
      this.#refuse(
        `the actor "${src}" is a callback or an observable, which can't be kept alive over a restart`,
        "Use fromPromise, fromTransition or a machine; what comes from outside comes as events.",
      );
    }
    if (kind === "machine") this.children.push(logic as AnyStateMachine);
  }

  #action(when: string, action: unknown): void {
    if (typeof action === "function") {
      if (!isBuiltIn(action)) {
        this.#refuse(
          `an action of "${when}" is an inline function, which can't be run after the commit`,
          "Give it a name under setup({ actions }) and implement it in the workflow's effects.",
        );
      }
      this.#builtIn(action);
      return;
    }
    const name = typeof action === "string" ? action : (action as { type: string }).type;
    if (name.startsWith("xstate.")) {
      this.#refuse(
        `the action "${name}" has one of XState's own names`,
        "Give it a name of your own.",
      );
    }
    const implementation = this.#machine.implementations.actions[name] as unknown;
    if (implementation === undefined) {
      this.#refuse(
        `the action "${name}" of "${when}" is unknown`,
        "Add it to setup({ actions }) or to the workflow's effects.",
      );
    }
    if (isBuiltIn(implementation)) this.#builtIn(implementation);
  }

  /** What a built-in action names is looked up now rather than when it runs. */
  #builtIn(action: BuiltIn): void {
    if (action.type === "xstate.spawnChild") this.#actor(action.src);
    if (typeof action.delay === "string") this.#delay(action.delay);
  }

  #delay(delay: string): void {
    if (delay in this.#machine.implementations.delays) return;
    this.#refuse(`the delay "${delay}" is unknown`, "Add it to setup({ delays }).");
  }

  #guard(guard: unknown): void {
    if (guard === undefined) return;
    if (typeof guard === "function") {
      // and(), or() and not() carry the guards they combine.
      for (const inner of (guard as { guards?: readonly unknown[] }).guards ?? []) {
        this.#guard(inner);
      }
      return;
    }
    const name = typeof guard === "string" ? guard : (guard as { type: string }).type;
    if (name in this.#machine.implementations.guards) return;
    this.#refuse(`the guard "${name}" is unknown`, "Add it to setup({ guards }).");
  }

  #refuse(what: string, remedy: string): never {
    throw new Unsupported(this.#place, what, remedy);
  }
}

interface BuiltIn {
  type: string;
  src?: unknown;
  delay?: unknown;
}

function isBuiltIn(action: unknown): action is BuiltIn {
  return typeof action === "function" && "resolve" in action;
}
