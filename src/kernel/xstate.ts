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

/** One step's system: hands out the instance's keys and gathers what XState wants done. */
class StepScope {
  readonly actions: ResolvedAction[] = [];
  nextKey: number;
  readonly id = "root";
  readonly sessionId = "root";
  readonly self: object;
  readonly system: object;
  readonly logger = () => {};
  readonly actionExecutor = (action: ResolvedAction) => void this.actions.push(action);
  readonly defer = () => {};
  readonly emit = () => {};
  readonly stopChild = () => {};

  constructor(machine: AnyStateMachine, nextKey: number) {
    this.nextKey = nextKey;
    const notHere = (what: string) => () => {
      throw new Unsupported(
        { machine: machine.id },
        `${what} is not available to the chart`,
        "Use the built-in actions raise, emit and invoke instead.",
      );
    };
    this.system = {
      _bookId: () => String(this.nextKey++),
      _register: (sessionId: string) => sessionId,
      _unregister: () => {},
      _set: notHere("systemId"),
      _sendInspectionEvent: () => {},
      _relay: notHere("Sending to an actor"),
      _logger: () => {},
      _clock: { setTimeout: notHere("A clock"), clearTimeout: () => {} },
      get: () => undefined,
      getAll: () => ({}),
    };
    this.self = {
      id: this.id,
      sessionId: this.sessionId,
      system: this.system,
      send: notHere("self.send"),
      getSnapshot: notHere("self.getSnapshot"),
    };
  }
}

export interface RawStep {
  snapshot: AnyMachineSnapshot;
  actions: ResolvedAction[];
  nextKey: number;
}

// XState's types know only scopes of running actors; this cast is the seam between the two worlds.
type XStateScope = Parameters<AnyStateMachine["transition"]>[2];

export function initialStep(machine: AnyStateMachine, input: unknown, nextKey: number): RawStep {
  const scope = new StepScope(machine, nextKey);
  const snapshot = machine.getInitialSnapshot(scope as unknown as XStateScope, input);
  return { snapshot, actions: scope.actions, nextKey: scope.nextKey };
}

export function transitionStep(
  machine: AnyStateMachine,
  from: AnyMachineSnapshot,
  event: EventObject,
  nextKey: number,
): RawStep {
  const scope = new StepScope(machine, nextKey);
  const snapshot = machine.transition(from, event, scope as unknown as XStateScope);
  return { snapshot, actions: scope.actions, nextKey: scope.nextKey };
}

/** Whether any transition is selected, at any depth: an explicit empty one counts. */
export function selects(
  machine: AnyStateMachine,
  snapshot: AnyMachineSnapshot,
  event: EventObject,
): boolean {
  return machine.getTransitionData(snapshot, event).length > 0;
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
