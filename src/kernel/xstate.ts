import {
  Actor,
  and,
  createActor,
  not,
  or,
  StateMachine,
  type AnyActorLogic,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventObject,
} from "xstate";
import { Unsupported } from "./errors.ts";

/**
 * The undocumented corners of XState 5.33 that durable actors need, in one place, so that XState 6's
 * `xstate/durable` can take it. The version is pinned exactly; `docs/architecture.md` says what to
 * run again when it moves.
 */

/** XState's own name for the event that stops an actor. */
export const STOP = "xstate.stop";

/** An action as XState resolves it in a step; `exec` of a built-in one carries it out. */
export interface ResolvedAction {
  type: string;
  params: unknown;
  info: unknown;
  exec?: (info: unknown, params: unknown) => void;
}

/** A state of any logic. */
export interface AnySnapshot {
  status: "active" | "done" | "error" | "stopped";
  output?: unknown;
  error?: unknown;
  context?: unknown;
  [more: string]: unknown;
}

/** What an actor's logic is given to act with. XState replaces `actionExecutor` for each microstep. */
export interface ActorScope {
  self: Ref;
  id: string;
  sessionId: string;
  system: ActorSystem;
  logger(...values: unknown[]): void;
  defer(task: () => void): void;
  stopChild(ref: Ref): void;
  emit(event: EventObject): void;
  actionExecutor(action: ResolvedAction): void;
}

/** As much of XState's actor system as its actors and built-in actions touch. */
interface ActorSystem {
  _bookId(): string;
  _register(sessionId: string, ref: Ref): string;
  _unregister(ref: Ref): void;
  _set(systemId: string, ref: Ref): void;
  _relay(source: Ref | undefined, target: Ref, event: EventObject): void;
  _sendInspectionEvent(event: InspectionEvent): void;
  get(systemId: string): Ref | undefined;
  getAll(): Record<string, Ref>;
  scheduler: {
    schedule(source: Ref, target: Ref, event: EventObject, delay: number, id?: string): void;
    cancel(source: Ref, id: string): void;
    cancelAll(source: Ref): void;
  };
  readonly _clock: object;
  _logger(...values: unknown[]): void;
}

export interface InspectionEvent {
  type: string;
  actorRef: Ref;
  _transitions?: readonly unknown[];
}

/**
 * A reference to an actor, as charts hold it. XState makes them; here they keep no state of their own
 * but ask whoever runs the actors.
 */
export interface Ref {
  readonly id: string;
  readonly sessionId: string;
  readonly src: unknown;
  readonly systemId?: string | undefined;
  readonly _syncSnapshot: boolean | undefined;
  _parent: Ref | undefined;
  send(event: EventObject): void;
  getSnapshot(): AnySnapshot;
}

/** Whoever runs the actors that references speak of. */
export interface Host extends ActorSystem {
  snapshotOf(ref: Ref): AnySnapshot;
  /** XState's processing status: 0 not started, 1 running, 2 stopped. */
  statusOf(ref: Ref): 0 | 1 | 2;
  startActor(ref: Ref): void;
  stopActor(ref: Ref): void;
  refuse(error: Unsupported): never;
}

/** How logic is run: in the step, or after the commit. */
export type ActorKind = "machine" | "transition" | "promise";

/** Unlike XState's, sessions are numbered for an instance's whole life. */
const SESSION = /^x:(\d+)$/;

export function sessionOf(key: number): string {
  return `x:${key}`;
}

export function keyOf(ref: { sessionId: string }): number {
  return Number(SESSION.exec(ref.sessionId)![1]);
}

/** A reference as JSON. */
export interface StoredRef {
  xstate$$type: 1;
  id: string;
  key: number;
}

export function isStoredRef(value: object): value is StoredRef {
  const { xstate$$type, key } = value as Partial<StoredRef>;
  return xstate$$type === 1 && Number.isSafeInteger(key) && key! >= 0;
}

export function isRef(value: object): value is Ref {
  return value instanceof Actor;
}

const hostOf = (ref: Ref): Host => (ref as unknown as { system: Host }).system;

function notThere(what: string) {
  return function (this: Ref): never {
    const { src, id } = this;
    return hostOf(this).refuse(
      new Unsupported(
        { machine: typeof src === "string" ? src : id },
        `${what} of an actor reference is not there in a durable step`,
        "Let the actor send an event, or read its getSnapshot().",
      ),
    );
  };
}

/** What references answer instead of XState's own actors. */
const DURABLE_REF = Object.create(Actor.prototype, {
  _snapshot: {
    get(this: Ref) {
      return hostOf(this).snapshotOf(this);
    },
    set() {},
  },
  _processingStatus: {
    get(this: Ref) {
      return hostOf(this).statusOf(this);
    },
    set() {},
  },
  start: {
    value(this: Ref) {
      hostOf(this).startActor(this);
      return this;
    },
  },
  _stop: {
    value(this: Ref) {
      hostOf(this).stopActor(this);
      return this;
    },
  },
  toJSON: {
    value(this: Ref): StoredRef {
      return { xstate$$type: 1, id: this.id, key: keyOf(this) };
    },
  },
  subscribe: { value: notThere("subscribe") },
  on: { value: notThere("on") },
  getPersistedSnapshot: { value: notThere("getPersistedSnapshot") },
}) as object;

/** Makes one of XState's own actors, in the middle of its construction, a reference of ours. */
export function becomeDurable(actor: Ref): void {
  const own = actor as unknown as Record<string, unknown>;
  delete own["_snapshot"];
  delete own["_processingStatus"];
  Object.setPrototypeOf(actor, DURABLE_REF);
}

/** A reference to an actor that exists, made without evaluating its logic. */
export function makeRef(
  host: Host,
  parent: Ref | undefined,
  { id, src, sync }: { id: string; src: string; sync: boolean },
): Ref {
  const logic = { getInitialSnapshot: () => ({ status: "active" }) } as unknown as AnyActorLogic;
  const options = { id, src, parent: parent ?? { system: host }, syncSnapshot: sync };
  const ref = createActor(logic, options as never) as unknown as Ref;
  if (parent === undefined) ref._parent = undefined;
  becomeDurable(ref);
  return ref;
}

/** What spawned logic does first: told to whoever runs the actors. */
type Spawned = (
  scope: ActorScope,
  logic: AnyActorLogic,
  src: string,
  input: unknown,
) => AnySnapshot;

const prepared = new WeakMap<AnyStateMachine, AnyStateMachine>();
const raw = new WeakMap<AnyStateMachine, AnyStateMachine>();

/** Microsteps one event may take before it counts as an endless loop. */
const MAX_MICROSTEPS = 1_000;

/**
 * The machine with stand-ins for its actors, so that spawning one evaluates nothing but what the
 * host wants evaluated.
 */
export function prepare(machine: AnyStateMachine, spawned: Spawned): AnyStateMachine {
  let found = prepared.get(machine);
  if (found === undefined) {
    const actors = machine.implementations.actors as Record<string, AnyActorLogic>;
    const standIns = Object.entries(actors).map(([src, logic]) => [
      src,
      {
        transition: (snapshot: unknown) => snapshot,
        getInitialSnapshot: (scope: ActorScope, input: unknown) =>
          spawned(scope, logic, src, input),
        getPersistedSnapshot: (snapshot: unknown) => snapshot,
      },
    ]);
    found = machine.provide({ actors: Object.fromEntries(standIns) as never });
    const { maxIterations = Infinity } = machine.options;
    found.options.maxIterations = Math.min(maxIterations, MAX_MICROSTEPS);
    prepared.set(machine, found);
    prepared.set(found, found);
    raw.set(found, machine);
  }
  return found;
}

/** The machine that a prepared one was made of. */
export function rawOf(machine: AnyStateMachine): AnyStateMachine {
  return raw.get(machine) ?? machine;
}

/** XState's logics carry no kind: it is told by what they are made of. Null: one that can't be kept. */
export function kindOf(logic: AnyActorLogic): ActorKind | null {
  if (logic instanceof StateMachine) return "machine";
  if (isPromiseLogic(logic)) return "promise";
  // Callbacks and observables live in what they start.
  return "start" in logic && logic.start !== undefined ? null : "transition";
}

/** It alone becomes done at `xstate.promise.resolve`. */
function isPromiseLogic(logic: AnyActorLogic): boolean {
  if (!("config" in logic) || typeof logic.config !== "function" || !("start" in logic)) {
    return false;
  }
  try {
    const resolved: unknown = logic.transition(
      { status: "active", output: undefined, error: undefined, input: undefined } as never,
      { type: "xstate.promise.resolve", data: "probe" },
      {} as never,
    );
    const { status, output } = resolved as { status?: unknown; output?: unknown };
    return status === "done" && output === "probe";
  } catch {
    return false;
  }
}

/** What the author wrote as `fromPromise(creator)`. */
export function promiseCreator(
  logic: AnyActorLogic,
): (arguments_: Record<string, unknown>) => PromiseLike<unknown> {
  return (logic as unknown as { config: (a: Record<string, unknown>) => PromiseLike<unknown> })
    .config;
}

/** The logic behind a name. */
export function findActorLogic(machine: AnyStateMachine, src: string): AnyActorLogic | undefined {
  return machine.implementations.actors[src] as AnyActorLogic | undefined;
}

/** The state nodes that a machine knows by id. */
export function hasState(machine: AnyStateMachine, id: string): boolean {
  return (machine as unknown as { idMap: Map<string, unknown> }).idMap.has(id);
}

/** XState's types know only scopes of running actors; these casts are the seam between the two worlds. */
export function initialOf(logic: AnyActorLogic, scope: ActorScope, input: unknown): AnySnapshot {
  return logic.getInitialSnapshot(scope as never, input as never) as AnySnapshot;
}

export function transitionOf(
  logic: AnyActorLogic,
  snapshot: AnySnapshot,
  event: EventObject,
  scope: ActorScope,
): AnySnapshot {
  return logic.transition(snapshot as never, event, scope as never) as AnySnapshot;
}

/** A machine's snapshot from its stored parts, nothing started; `context` and `children` are for the caller to put back. */
export function bareMachineSnapshot(
  machine: AnyStateMachine,
  stored: object,
  scope: { self: Ref },
): AnyMachineSnapshot {
  const bare = { ...stored, context: undefined, children: {} };
  return machine.restoreSnapshot(bare as never, scope as never) as AnyMachineSnapshot;
}

/** A guard that combines others; XState tells them apart by their `check` alone. */
interface Combinator {
  guards: readonly unknown[];
  check: (
    snapshot: AnyMachineSnapshot,
    about: { context: unknown; event: EventObject },
    combinator: { guards: readonly unknown[] },
  ) => boolean;
}

const asCombinator = (guard: unknown): Combinator => guard as Combinator;
const { check: checkAnd } = asCombinator(and([]));
const { check: checkOr } = asCombinator(or([]));
const { check: checkNot } = asCombinator(not(""));

/** What `and`, `or` or `not` combine, be it by a name of the machine's; null for any other guard. */
export function combined(
  machine: AnyStateMachine,
  guard: unknown,
): { by: "and" | "or" | "not"; guards: readonly unknown[] } | null {
  const { guards: named } = machine.implementations as { guards: Record<string, unknown> };
  const found =
    typeof guard === "function"
      ? guard
      : named[typeof guard === "string" ? guard : (guard as { type: string }).type];
  if (typeof found !== "function" || !("check" in found)) return null;
  const { check, guards } = asCombinator(found);
  if (check === checkAnd) return { by: "and", guards };
  if (check === checkOr) return { by: "or", guards };
  return check === checkNot ? { by: "not", guards } : null;
}

/** Whether a guard passes, as XState evaluates it: by `not`, since its own function isn't exported. */
export function passes(
  guard: unknown,
  snapshot: AnyMachineSnapshot,
  about: { context: unknown; event: EventObject },
): boolean {
  return !checkNot(snapshot, about, { guards: [guard] });
}
