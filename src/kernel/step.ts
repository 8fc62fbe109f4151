import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { Run, type Before } from "./run.ts";
import type { Effect, MachineEvent } from "./effects.ts";
import { StepFailed, Unsupported, type ErrorData } from "./errors.ts";
import { findUnserialisable } from "./json.ts";
import { MAX_CHILDREN } from "./limits.ts";
import { System, type ActorState } from "./system.ts";
import { makeRef } from "./xstate.ts";

/** The key of the instance's own machine. */
export const ROOT = 0;

/** An instance's actors between two events. Never changed in place. */
export interface MachineState {
  /** Of the instance's own machine. */
  readonly snapshot: AnyMachineSnapshot;
  /** All of them by key; the instance's own machine is `ROOT`. */
  readonly actors: ReadonlyMap<number, ActorState>;
  readonly systemIds: ReadonlyMap<string, number>;
  /** Handed out next. */
  readonly nextKey: number;
  readonly system: System;
}

export interface Step {
  state: MachineState;
  effects: Effect[];
  /**
   * Whether the event did anything: a transition for it, in any actor, an empty one included. Where
   * not, `state` is as it was and there are no effects.
   */
  taken: boolean;
}

/** How an actor's run ended. */
export type Settlement = { output: unknown } | { error: ErrorData };

/**
 * Enters the machine's initial state.
 *
 * @throws Unsupported where the chart asks for what can't run durably
 * @throws StepFailed where a function of the chart throws
 */
export function begin(machine: AnyStateMachine, input: unknown): Step {
  const system = new System();
  const nothing: Before = { actors: new Map(), systemIds: new Map(), nextKey: 1 };
  const run = new Run(system, nothing);
  const ref = system.reserve(ROOT, () =>
    makeRef(system, undefined, { id: "root", src: machine.id, sync: false }),
  );
  const where = { machine: machine.id, state: "(not begun)", event: "xstate.init" };
  return perform(system, run, where, () => run.begin(ref, machine, input));
}

/**
 * Takes one event: the macrostep of one actor, and of all that it sends events to; nothing started,
 * nothing sent out. What has come to its end takes nothing.
 *
 * @param target the actor's key
 * @throws Unsupported, StepFailed as `begin` does; `state` stays as it was
 */
export function step(state: MachineState, event: MachineEvent, target: number = ROOT): Step {
  const actor = state.actors.get(target);
  const unchanged: Step = { state, effects: [], taken: false };
  if (state.snapshot.status !== "active" || actor?.snapshot.status !== "active") return unchanged;
  const run = new Run(state.system, state);
  const { machine } = state.snapshot;
  const where = { machine: machine.id, state: describe(state.snapshot), event: event.type };
  const next = perform(state.system, run, where, () => run.deliver(target, event));
  return next.taken ? next : unchanged;
}

/**
 * Brings a promise actor's result to it, and by it to its parent; null when nobody waits for that run
 * any more: its state was left, or another run has taken its place.
 */
export function settle(state: MachineState, key: number, result: Settlement): Step | null {
  const actor = state.actors.get(key);
  if (actor?.kind !== "promise" || actor.snapshot.status !== "active") return null;
  const event: MachineEvent =
    "error" in result
      ? { type: "xstate.promise.reject", data: result.error }
      : { type: "xstate.promise.resolve", data: result.output };
  return step(state, event, key);
}

/** Stops the instance's machine and all below it, at once: no transition is taken, no exit action runs. */
export function halt(state: MachineState): Step {
  const run = new Run(state.system, state);
  const { machine } = state.snapshot;
  const where = { machine: machine.id, state: describe(state.snapshot), event: "xstate.stop" };
  return perform(state.system, run, where, () => run.stop(ROOT));
}

function perform(
  system: System,
  run: Run,
  where: { machine: string; state: string; event: string },
  act: () => void,
): Step {
  return system.during(run, () => {
    try {
      act();
    } catch (error) {
      if (error instanceof Unsupported) throw error;
      throw new StepFailed(where.machine, where.state, where.event, error);
    }
    const { thrown, isTaken, effects, ...after } = run.after();
    if (thrown !== undefined) {
      throw new StepFailed(where.machine, where.state, where.event, thrown.error);
    }
    const snapshot = after.actors.get(ROOT)!.snapshot as unknown as AnyMachineSnapshot;
    const state: MachineState = { ...after, snapshot, system };
    checkChildren(state);
    const wanted = withoutStillborn(effects);
    checkEffects(state, wanted);
    return { state, effects: wanted, taken: isTaken };
  });
}

function checkChildren({ actors, snapshot }: MachineState): void {
  if (actors.size - 1 <= MAX_CHILDREN) return;
  throw new Unsupported(
    { machine: snapshot.machine.id, state: describe(snapshot) },
    `it would have ${actors.size - 1} actors alive at once; at most ${MAX_CHILDREN}`,
    "Start instances of their own, or fewer at a time.",
  );
}

/** What leaves the step as data must survive being data. */
function checkEffects({ snapshot }: MachineState, effects: readonly Effect[]): void {
  for (const effect of effects) {
    const found = unserialisableIn(effect);
    if (found === null) continue;
    throw new Unsupported(
      { machine: snapshot.machine.id, state: describe(snapshot) },
      `${found} can't be stored as JSON`,
      "Hand on plain objects, lists, finite numbers, strings, booleans and null.",
    );
  }
}

function unserialisableIn(effect: Effect): string | null {
  switch (effect.type) {
    case "actor.start":
      return effect.input === undefined
        ? null
        : findUnserialisable(effect.input, `the input of "${effect.id}"`);
    case "command":
      return effect.params === undefined
        ? null
        : findUnserialisable(effect.params, `the params of "${effect.name}"`);
    case "emit":
      return findUnserialisable(effect.event, `the emitted "${effect.event.type}"`);
    case "timer.set":
      return findUnserialisable(effect.event, `the delayed "${effect.event.type}"`, true);
    default:
      return null;
  }
}

/** An actor started and stopped within one step must never run. */
function withoutStillborn(effects: Effect[]): Effect[] {
  if (!effects.some((effect) => effect.type === "actor.stop")) return effects;
  const started = new Set(effects.flatMap((e) => (e.type === "actor.start" ? [e.key] : [])));
  const stillborn = new Set(
    effects.flatMap((e) => (e.type === "actor.stop" && started.has(e.key) ? [e.key] : [])),
  );
  if (stillborn.size === 0) return effects;
  return effects.filter(
    (e) => (e.type !== "actor.start" && e.type !== "actor.stop") || !stillborn.has(e.key),
  );
}

/** The state value as one line, for messages: `idle`, or `{"bakePizza":"pizzaInOven"}`. */
export function describe(snapshot: { value: unknown }): string {
  const { value } = snapshot;
  return typeof value === "string" ? value : JSON.stringify(value);
}
