import {
  enqueueActions,
  spawnChild,
  StateMachine,
  type AnyActorLogic,
  type AnyStateMachine,
  type AnyStateNode,
  type StateValue,
} from "xstate";
import { kindOf } from "./xstate.ts";

/**
 * XState's corners that a migration needs: what a state's being active asks for (its `after` timers, its
 * invokes), and a machine that can be made to ask for it without entering the state.
 */

/** The state nodes that a value makes active, what it leaves open filled in; and that whole value. */
export function activeNodes(
  machine: AnyStateMachine,
  value: unknown,
): { nodes: readonly AnyStateNode[]; value: StateValue; isFinal: boolean } {
  const resolved = machine.resolveState({ value: value as never, context: {} as never });
  return {
    nodes: resolved._nodes,
    value: resolved.value as StateValue,
    isFinal: resolved.status === "done",
  };
}

/** What is asked for while some states are active. */
export interface Needs {
  /** By the timer's id. */
  timers: Map<string, Action>;
  /** By the actor's id. */
  actors: Map<string, { src: string; start: Action }>;
}

export type Action = ReturnType<typeof spawnChild>;

export function needsOf(nodes: readonly AnyStateNode[]): Needs {
  const needs: Needs = { timers: new Map(), actors: new Map() };
  for (const node of nodes) {
    for (const action of node.entry as unknown as { type?: string; id?: unknown }[]) {
      // XState enters a state with `after` by a delayed event to itself.
      const { type, id } = action;
      const isAfter = type === "xstate.raise" && typeof id === "string" && isAfterOf(id, node);
      if (isAfter) needs.timers.set(id, action as never);
    }
    for (const invoke of node.invoke) {
      const { id, src, onSnapshot } = invoke;
      const start = spawnChild(src as never, { ...invoke, syncSnapshot: !!onSnapshot } as never);
      needs.actors.set(id, { src: src as string, start });
    }
  }
  return needs;
}

function isAfterOf(timer: string, { id }: AnyStateNode): boolean {
  return timer.startsWith("xstate.after.") && timer.endsWith(`.${id}`);
}

/** What the actor whose turn it is shall carry out; null once it has. */
export interface Turn {
  actions: readonly Action[] | null;
}

interface NodeConfig {
  always?: unknown;
  states?: Record<string, NodeConfig>;
}

/**
 * The machine, able to be given what its states need: at `xstate.init` it carries out what `turn` holds
 * for it, and takes no transition of its own.
 */
export function adoptable(machine: AnyStateMachine, turn: Turn): AnyStateMachine {
  const made = new Map<AnyStateMachine, AnyStateMachine>();
  const make = (one: AnyStateMachine): AnyStateMachine => {
    const known = made.get(one);
    if (known !== undefined) return known;
    // A machine that names itself meets the one it was.
    made.set(one, one);
    const logics = one.implementations.actors as Record<string, AnyActorLogic>;
    const actors = Object.entries(logics).map(([src, logic]) => [
      src,
      kindOf(logic) === "machine" ? make(logic as AnyStateMachine) : logic,
    ]);
    const config = {
      ...withoutAlways(one.config as NodeConfig),
      always: {
        guard: () => turn.actions !== null,
        actions: enqueueActions(({ enqueue }) => {
          const actions = turn.actions!;
          // Once: actors that these begin have no turn.
          turn.actions = null;
          for (const action of actions) enqueue(action as never);
        }),
      },
    };
    const whole = new StateMachine(
      config as never,
      {
        ...one.implementations,
        actors: Object.fromEntries(actors),
      } as never,
    ) as unknown as AnyStateMachine;
    made.set(one, whole);
    return whole;
  };
  return make(machine);
}

function withoutAlways({ always: _, states, ...config }: NodeConfig): NodeConfig {
  if (states === undefined) return config;
  const inner = Object.entries(states).map(([key, node]) => [key, withoutAlways(node)]);
  return { ...config, states: Object.fromEntries(inner) as Record<string, NodeConfig> };
}
