import {
  createActor,
  type AnyActorLogic,
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type EventObject,
} from "xstate";
import { Quarantined, Unsupported } from "./errors.ts";

/**
 * The undocumented corners of XState 5.33 that a durable step needs, in one place, so that XState 6's
 * `xstate/durable` can take it. The version is pinned exactly; `docs/architecture.md` says what to
 * run again when it moves.
 */

/** An action as XState resolves it in a step. */
export interface ResolvedAction {
  type: string;
  params: unknown;
  exec?: unknown;
}

/** What XState's child references are here: never started, known by their key alone. */
interface ChildRef {
  id: string;
  src: unknown;
  sessionId: string;
}

export interface ChildRow {
  key: number;
  src: string;
}

/** A machine's state as it is stored: plain JSON. */
export interface StoredMachine {
  value: AnyMachineSnapshot["value"];
  status: AnyMachineSnapshot["status"];
  context: Record<string, unknown>;
  output?: unknown;
  error?: unknown;
  historyValue?: Record<string, { id: string }[]>;
  children: Record<string, ChildRow>;
}

/** One step's scope: hands out the instance's keys and gathers what XState wants done. */
class StepScope {
  readonly machine: AnyStateMachine;
  readonly actions: ResolvedAction[] = [];
  nextKey: number;
  /** Whether the event selected any transition; unknown until its first microstep. */
  taken: boolean | undefined;
  readonly id = "root";
  readonly sessionId = "root";
  readonly self: StepSelf;
  readonly system: StepSystem;
  readonly logger = inert;
  readonly defer = inert;
  readonly emit = inert;
  readonly stopChild = inert;
  /** An own property: XState replaces it for the length of a microstep. */
  actionExecutor = (action: ResolvedAction): void => void this.actions.push(action);

  constructor(machine: AnyStateMachine, nextKey: number) {
    this.machine = machine;
    this.nextKey = nextKey;
    this.system = new StepSystem(this);
    this.self = new StepSelf(this);
  }

  refuse(what: string): never {
    throw new Unsupported(
      { machine: this.machine.id },
      `${what} is not available to the chart`,
      "Use the built-in actions raise, emit and invoke instead.",
    );
  }
}

function inert(): void {}

/** As much of XState's actor system as a step touches. */
class StepSystem {
  readonly #scope: StepScope;
  readonly _logger = inert;
  readonly _clock = { setTimeout: inert, clearTimeout: inert };

  constructor(scope: StepScope) {
    this.#scope = scope;
  }

  _bookId(): string {
    return String(this.#scope.nextKey++);
  }

  _register(sessionId: string): string {
    return sessionId;
  }

  _unregister(): void {}

  _set(): void {
    this.#scope.refuse("systemId");
  }

  _relay(): void {
    this.#scope.refuse("Sending to an actor");
  }

  _sendInspectionEvent({ type, _transitions }: InspectionEvent): void {
    if (type === "@xstate.microstep") this.#scope.taken ??= (_transitions?.length ?? 0) > 0;
  }

  get(): undefined {
    return undefined;
  }

  getAll(): object {
    return {};
  }
}

interface InspectionEvent {
  type: string;
  _transitions?: readonly unknown[];
}

/** `self` as guards, assigns and outputs are given it. */
class StepSelf {
  readonly id = "root";
  readonly sessionId = "root";
  readonly system: StepSystem;
  readonly #scope: StepScope;

  constructor(scope: StepScope) {
    this.#scope = scope;
    this.system = scope.system;
  }

  send(): void {
    this.#scope.refuse("self.send");
  }

  getSnapshot(): void {
    this.#scope.refuse("self.getSnapshot");
  }
}

export interface RawStep {
  snapshot: AnyMachineSnapshot;
  actions: ResolvedAction[];
  nextKey: number;
  /** Whether any transition was selected, at any depth: an explicit empty one counts. */
  taken: boolean;
}

// XState's types know only scopes of running actors; this cast is the seam between the two worlds.
type XStateScope = Parameters<AnyStateMachine["transition"]>[2];

export function initialStep(machine: AnyStateMachine, input: unknown, nextKey: number): RawStep {
  const scope = new StepScope(machine, nextKey);
  const snapshot = machine.getInitialSnapshot(scope as unknown as XStateScope, input);
  return { snapshot, actions: scope.actions, nextKey: scope.nextKey, taken: true };
}

export function transitionStep(
  machine: AnyStateMachine,
  from: AnyMachineSnapshot,
  event: EventObject,
  nextKey: number,
): RawStep {
  const scope = new StepScope(machine, nextKey);
  const snapshot = machine.transition(from, event, scope as unknown as XStateScope);
  const { actions, taken = false } = scope;
  return { snapshot, actions, nextKey: scope.nextKey, taken };
}

/** Reads a stored state back without starting anything. `stored` must be parsed afresh: it is taken over. */
export function restore(machine: AnyStateMachine, stored: StoredMachine): AnyMachineSnapshot {
  const { children, historyValue, ...rest } = stored;
  for (const { id } of Object.values(historyValue ?? {}).flat()) {
    if (!(machine as unknown as { idMap: Map<string, unknown> }).idMap.has(id)) {
      throw new Quarantined(machine.id, `the remembered state "${id}" is gone`);
    }
  }
  const scope = new StepScope(machine, 0);
  let snapshot: AnyMachineSnapshot;
  try {
    // Status and context are put back afterwards: restoring walks the context looking for references.
    const bare = { ...rest, historyValue: historyValue ?? {}, context: undefined, children: {} };
    snapshot = machine.restoreSnapshot(
      bare as unknown as Parameters<AnyStateMachine["restoreSnapshot"]>[0],
      scope as unknown as XStateScope,
    ) as AnyMachineSnapshot;
  } catch (error) {
    throw new Quarantined(machine.id, error instanceof Error ? error.message : String(error));
  }
  snapshot.context = stored.context;
  snapshot.children = Object.fromEntries(
    Object.entries(children).map(([id, row]) => [id, restoredChild(scope, machine, id, row)]),
  );
  return snapshot;
}

function restoredChild(scope: StepScope, machine: AnyStateMachine, id: string, row: ChildRow) {
  if (findActorLogic(machine, row.src) === undefined) {
    throw new Quarantined(machine.id, `the actor "${row.src}" that "${id}" runs is gone`);
  }
  scope.nextKey = row.key;
  const logic = { getInitialSnapshot: () => ({ status: "active" }) } as unknown as AnyActorLogic;
  return createActor(logic, { id, src: row.src, parent: scope.self as never });
}

/** The children that are alive, by id. */
export function childRows(snapshot: AnyMachineSnapshot): Record<string, ChildRow> {
  const rows: Record<string, ChildRow> = {};
  const children = snapshot.children as Record<string, { src: unknown } | undefined>;
  for (const [id, ref] of Object.entries(children)) {
    if (ref === undefined) continue;
    if (typeof ref.src !== "string") {
      throw new Unsupported(
        { machine: snapshot.machine.id },
        `the actor "${id}" has no name`,
        "Give its logic a name under setup({ actors }) and spawn it by that name.",
      );
    }
    rows[id] = { key: childKey(ref), src: ref.src };
  }
  return rows;
}

export function childKey(ref: object): number {
  return Number((ref as ChildRef).sessionId);
}

/** The logic behind a name, `xstate.invoke.<i>.<state>` included. */
export function findActorLogic(machine: AnyStateMachine, src: string): AnyActorLogic | undefined {
  return machine.implementations.actors[src] as AnyActorLogic | undefined;
}

/**
 * XState's logics carry no kind. A promise's is told by its behaviour: it alone becomes done at
 * `xstate.promise.resolve`.
 */
export function isPromiseLogic(logic: AnyActorLogic): boolean {
  if (!("config" in logic) || typeof logic.config !== "function") return false;
  try {
    const scope = {} as unknown as XStateScope;
    const resolved: unknown = logic.transition(
      { status: "active", output: undefined, error: undefined, input: undefined },
      { type: "xstate.promise.resolve", data: "probe" },
      scope as never,
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
