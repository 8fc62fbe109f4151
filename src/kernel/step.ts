import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { contextTexts, type ContextTexts } from "./changes.ts";
import type { Effect, MachineEvent } from "./effects.ts";
import { StepFailed, Unsupported, type ErrorData } from "./errors.ts";
import { findUnserialisable } from "./json.ts";
import {
  childKey,
  childRows,
  initialStep,
  restore as restoreSnapshot,
  transitionStep,
  type ChildRow,
  type RawStep,
  type ResolvedAction,
  type StoredMachine,
} from "./xstate.ts";

/** A hundred years, in milliseconds. */
const MAX_DELAY = 3_155_760_000_000;

/** Microsteps one event may take before it counts as an endless loop. */
const MAX_MICROSTEPS = 1_000;

/** An instance's machine between two events: XState's snapshot, and the next key to hand out. */
export interface MachineState {
  readonly snapshot: AnyMachineSnapshot;
  readonly nextKey: number;
}

export interface Step {
  state: MachineState;
  effects: Effect[];
  /**
   * Whether the event did anything: a transition for it, at any depth, an empty one included. Where
   * not, `state` is as it was and there are no effects.
   */
  taken: boolean;
}

/** The stored form of a `MachineState`: plain JSON. */
export interface StoredState extends StoredMachine {
  nextKey: number;
}

/**
 * Enters the machine's initial state.
 *
 * @throws Unsupported where the chart asks for what can't run durably
 * @throws StepFailed where a function of the chart throws
 */
export function begin(machine: AnyStateMachine, input: unknown): Step {
  boundMicrosteps(machine);
  return run(machine, "xstate.init", { snapshot: undefined, nextKey: 1 }, (nextKey) => {
    const raw = initialStep(machine, input, nextKey);
    // XState swallows what is thrown in the initial step and answers with a failed snapshot.
    if (raw.snapshot.status === "error") throw raw.snapshot.error;
    return raw;
  });
}

/**
 * Takes one event: one macrostep, nothing started, nothing sent. What has come to its end takes
 * nothing.
 *
 * @throws Unsupported, StepFailed as `begin` does; `state` stays as it was
 */
export function step(machine: AnyStateMachine, state: MachineState, event: MachineEvent): Step {
  if (state.snapshot.status !== "active") return { state, effects: [], taken: false };
  const next = run(machine, event.type, state, (nextKey) =>
    transitionStep(machine, state.snapshot, event, nextKey),
  );
  // A failed actor that nobody handles selects no transition either, and yet ends the machine.
  const isChanged = next.taken || next.state.snapshot !== state.snapshot;
  return isChanged ? { ...next, taken: true } : { state, effects: [], taken: false };
}

/** How an actor's run ended. */
export type Settlement = { output: unknown } | { error: ErrorData };

/**
 * The event by which an actor's result reaches the machine, or null when nobody waits for that run
 * any more: its state was left, or another run has taken its place.
 */
export function settlementEvent(
  state: MachineState,
  actor: { key: number; id: string },
  result: Settlement,
): MachineEvent | null {
  const child = state.snapshot.children[actor.id];
  if (child === undefined || childKey(child) !== actor.key) return null;
  return "error" in result
    ? { type: `xstate.error.actor.${actor.id}`, error: result.error, actorId: actor.id }
    : { type: `xstate.done.actor.${actor.id}`, output: result.output, actorId: actor.id };
}

/** A state as it is stored: the context apart, as JSON texts, since it is compared as such. */
export interface Stored {
  head: Omit<StoredState, "context">;
  texts: ContextTexts;
}

/**
 * @param before the state that this one follows: what is the same object still needn't be looked at
 * @throws Unsupported where the context or the output holds what JSON would change
 */
export function store(
  machine: AnyStateMachine,
  state: MachineState,
  before?: MachineState,
): Stored {
  const { value, status, context, output, error, historyValue } = state.snapshot;
  checkSerialisable(
    machine,
    state,
    "context.",
    context as Record<string, unknown>,
    before?.snapshot.context,
  );
  const head: Stored["head"] = {
    value,
    status,
    children: childRows(state.snapshot),
    nextKey: state.nextKey,
  };
  if (output !== undefined) {
    checkSerialisable(machine, state, "", { output: output as unknown });
    head.output = output;
  }
  if (error !== undefined) head.error = error;
  const remembered = Object.entries(historyValue as Record<string, { id: string }[]>);
  if (remembered.length > 0) {
    head.historyValue = Object.fromEntries(
      remembered.map(([id, nodes]) => [id, nodes.map((node) => ({ id: node.id }))]),
    );
  }
  return { head, texts: contextTexts(context as Record<string, unknown>) };
}

function checkSerialisable(
  machine: AnyStateMachine,
  state: MachineState,
  root: string,
  values: Record<string, unknown>,
  before: Record<string, unknown> = {},
): void {
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value === undefined || value === before[name]) continue;
    const found = findUnserialisable(value, root + name);
    if (found === null) continue;
    throw new Unsupported(
      { machine: machine.id, state: describe(state.snapshot) },
      `${found} can't be stored as JSON`,
      "Keep plain objects, lists, finite numbers, strings, booleans and null in the context.",
    );
  }
}

/**
 * Reads a stored state back, without starting anything.
 *
 * @param stored parsed afresh: it becomes part of the result
 * @throws Quarantined where it doesn't fit the machine
 */
export function restore(machine: AnyStateMachine, stored: StoredState): MachineState {
  boundMicrosteps(machine);
  const { nextKey, ...rest } = stored;
  return { snapshot: restoreSnapshot(machine, rest), nextKey };
}

/** The state value as one line, for messages: `idle`, or `{"bakePizza":"pizzaInOven"}`. */
export function describe(snapshot: AnyMachineSnapshot): string {
  const value: unknown = snapshot.value;
  return typeof value === "string" ? value : JSON.stringify(value);
}

function boundMicrosteps(machine: AnyStateMachine): void {
  const options = machine.options;
  if (options.maxIterations === undefined || options.maxIterations > MAX_MICROSTEPS) {
    options.maxIterations = MAX_MICROSTEPS;
  }
}

function run(
  machine: AnyStateMachine,
  eventType: string,
  from: { snapshot: AnyMachineSnapshot | undefined; nextKey: number },
  next: (nextKey: number) => RawStep,
): Step {
  let raw: RawStep;
  try {
    raw = next(from.nextKey);
  } catch (error) {
    if (error instanceof Unsupported) throw error;
    const state = from.snapshot === undefined ? "(not begun)" : describe(from.snapshot);
    throw new StepFailed(machine.id, state, eventType, error);
  }
  const keys = { next: raw.nextKey };
  const place = { machine: machine.id, state: describe(raw.snapshot) };
  const effects = raw.actions.flatMap((action) =>
    toEffects(action, keys, place, machine.implementations.actions),
  );
  const before = from.snapshot === undefined ? {} : childRows(from.snapshot);
  effects.push(...startedInAssigns(raw.snapshot, before, effects));
  return {
    state: { snapshot: raw.snapshot, nextKey: keys.next },
    effects: withoutStillborn(effects),
    taken: raw.taken,
  };
}

function toEffects(
  action: ResolvedAction,
  keys: { next: number },
  place: { machine: string; state: string },
  known: Readonly<Record<string, unknown>>,
): Effect[] {
  const params = (action.params ?? {}) as Record<string, unknown>;
  switch (action.type) {
    case "xstate.raise": {
      const { delay } = params;
      // Without a delay the macrostep has consumed it already.
      if (delay === undefined) return [];
      if (typeof delay !== "number" || !Number.isFinite(delay) || delay > MAX_DELAY) {
        throw new Unsupported(
          place,
          `a delay of ${typeof delay === "number" ? delay : JSON.stringify(delay)} is no time to wait`,
          "Give a finite number of milliseconds, at most a hundred years.",
        );
      }
      const event = params["event"] as MachineEvent;
      const id = typeof params["id"] === "string" ? params["id"] : `raise.${keys.next++}`;
      return [{ type: "timer.set", id, delay: Math.max(0, Math.ceil(delay)), event }];
    }
    case "xstate.cancel":
      return [{ type: "timer.cancel", id: String(params["sendId"]) }];
    case "xstate.spawnChild": {
      const { actorRef, src, input } = params;
      if (actorRef === undefined || typeof src !== "string") {
        throw new Unsupported(
          place,
          `the actor ${JSON.stringify(src)} is unknown or has no name`,
          "Give its logic a name under setup({ actors }).",
        );
      }
      const { id } = actorRef as { id: string };
      return [{ type: "actor.start", key: childKey(actorRef as object), id, src, input }];
    }
    case "xstate.stopChild":
      return action.params ? [{ type: "actor.stop", key: childKey(action.params) }] : [];
    case "xstate.emit":
      return [{ type: "emit", key: keys.next++, event: params["event"] as MachineEvent }];
    case "xstate.log":
      return [{ type: "log", message: String(params["value"]) }];
    case "xstate.sendTo":
      throw new Unsupported(
        place,
        "sendTo is not supported yet",
        "Use raise for events to the machine itself.",
      );
    default:
      // enqueueActions can name what registration couldn't see.
      if (known[action.type] === undefined || known[action.type] !== action.exec) {
        throw new Unsupported(
          place,
          `the action "${action.type}" is unknown, or an inline function`,
          "Give it a name under setup({ actions }), and enqueue it by that name.",
        );
      }
      return [{ type: "command", key: keys.next++, name: action.type, params: action.params }];
  }
}

/** `spawn` inside an assign announces nothing: only the child's presence tells. */
function startedInAssigns(
  snapshot: AnyMachineSnapshot,
  before: Record<string, ChildRow>,
  effects: readonly Effect[],
): Effect[] {
  if (Object.keys(snapshot.children).length === 0) return [];
  const announced = new Set(effects.flatMap((e) => (e.type === "actor.start" ? [e.key] : [])));
  return Object.entries(childRows(snapshot)).flatMap(([id, { key, src }]) => {
    if (announced.has(key) || before[id]?.key === key) return [];
    const options = (snapshot.children[id] as unknown as { options?: { input?: unknown } }).options;
    return [{ type: "actor.start" as const, key, id, src, input: options?.input }];
  });
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
