import type { AnyStateMachine, AnyStateNode } from "xstate";
import { activeNodes, adoptable, needsOf, type Action, type Needs, type Turn } from "./adoption.ts";
import type { Effect } from "./effects.ts";
import { Quarantined } from "./errors.ts";
import { momentOf, type Moment } from "./moment.ts";
import { restore } from "./restoring.ts";
import { ROOT, step, type MachineState } from "./step.ts";
import type { StoredActor, StoredChild, StoredMachine, StoredState } from "./stored.ts";
import type { Timer } from "./timers.ts";
import type { Migration, VersionedChild, VersionedState } from "./workflow.ts";
import { findActorLogic, kindOf } from "./xstate.ts";

/** What a migration makes of an instance. */
export interface Migrated {
  machine: MachineState;
  /** Those that go on; what the new states need is among the effects. */
  timers: Timer[];
  effects: Effect[];
}

/** What XState calls an actor that a state invokes without an id: its place among them, and the state. */
const INVOKED_WITHOUT_ID = /^(\d+)\.(.+)$/;

/** The migrations that lead from one version to another, fewest first; null where none do. */
export function pathBetween(
  migrations: readonly Migration[],
  from: string,
  to: string,
): Migration[] | null {
  let paths: Migration[][] = migrations.filter((one) => one.from === from).map((one) => [one]);
  const seen = new Set([from]);
  while (paths.length > 0) {
    const found = paths.find((path) => path.at(-1)!.to === to);
    if (found !== undefined) return found;
    for (const path of paths) seen.add(path.at(-1)!.to);
    paths = paths.flatMap((path) =>
      migrations
        .filter((one) => one.from === path.at(-1)!.to && !seen.has(one.to))
        .map((one) => [...path, one]),
    );
  }
  return null;
}

/**
 * Brings a state to another version of its machine: what the author's function makes of it, the timers
 * and actors that the new states need begun, and those that they don't need ended. No entry action runs.
 *
 * @throws Quarantined where the result doesn't fit the machine; whatever the author's function throws
 */
export function migrate(
  machine: AnyStateMachine,
  before: Moment,
  path: readonly Migration[],
  oldMachine: AnyStateMachine | undefined,
): Migrated {
  let moment = before;
  for (const migration of path) moment = migrateOnce(moment, migration, machine.id);
  if (moment.machine.status !== "active") {
    return { machine: restored(machine, moment), timers: moment.timers, effects: [] };
  }
  const turn: Turn = { actions: null };
  const shell = adoptable(machine, turn);
  const fitted = fit(shell, moment, oldMachine);
  let state = restored(shell, fitted.moment);
  const effects: Effect[] = [];
  for (const [key, actions] of fitted.wanted) {
    turn.actions = actions;
    const next = step(state, { type: "xstate.init" }, key);
    state = next.state;
    effects.push(...next.effects);
  }
  // From here on it is the machine itself: transitions without an event that its context now asks for.
  let settled = restored(machine, momentOf(state, []));
  for (const key of [...settled.actors.keys()]) {
    if (settled.actors.get(key)?.kind !== "machine") continue;
    const next = step(settled, { type: "xstate.init" }, key);
    settled = next.state;
    effects.push(...next.effects);
  }
  return { machine: settled, timers: fitted.moment.timers, effects };
}

function migrateOnce(moment: Moment, migration: Migration, machineId: string): Moment {
  const renamed = JSON.parse(JSON.stringify(moment)) as Moment;
  rename(renamed, migration.renames ?? {}, machineId);
  const rows = new Map(renamed.actors.map((actor) => [actor.key, actor]));
  const made = asJson(migration.migrate(versioned(renamed.machine, rows)));
  const kept = new Set<number>();
  const machine = { ...renamed.machine, ...applied(renamed.machine, made, rows, kept) };
  return {
    machine,
    actors: [...rows.values()].filter(({ key }) => kept.has(key)),
    timers: renamed.timers,
  };
}

/** A state as the author's function sees it. */
function versioned(
  { value, context, children }: StoredMachine,
  rows: ReadonlyMap<number, StoredActor>,
): VersionedState {
  const seen = Object.entries(children).map(([id, child]): [string, VersionedChild] => {
    if (child.src !== undefined) return [id, { src: child.src }];
    const { src, machine, snapshot } = rows.get(child.key)!;
    return [
      id,
      machine === undefined ? { src, snapshot } : { src, state: versioned(machine, rows) },
    ];
  });
  return { value, context, children: Object.fromEntries(seen) };
}

/** What the author's function has made of a state; the rows of actors change in place. */
function applied(
  before: StoredMachine,
  { value, context, children }: VersionedState,
  rows: Map<number, StoredActor>,
  kept: Set<number>,
): Pick<StoredMachine, "value" | "context" | "children"> {
  const going: Record<string, StoredChild> = {};
  for (const [id, made] of Object.entries(children)) {
    const child = before.children[id];
    if (child === undefined) {
      throw new Error(`The migration names the actor "${id}", which there is not`);
    }
    going[id] = child.src === undefined ? child : { ...child, src: made.src };
    const row = rows.get(child.key);
    if (row === undefined) continue;
    kept.add(row.key);
    row.src = made.src;
    if (row.machine === undefined) row.snapshot = made.snapshot as never;
    else if (made.state !== undefined) {
      Object.assign(row.machine, applied(row.machine, made.state, rows, kept));
    }
  }
  return { value, context, children: going };
}

/**
 * Timers of states that are called otherwise now, what they invoke without an id of its own, and what
 * history remembers of them.
 */
function rename(
  { machine, actors, timers }: Moment,
  renames: Readonly<Record<string, string>>,
  machineId: string,
): void {
  // The longest that fits, whatever the order they are named in.
  const longestFirst = Object.entries(renames).toSorted(([a], [b]) => b.length - a.length);
  const newId = (id: string): string => {
    for (const [from, to] of longestFirst) {
      const path = `${machineId}.${from}`;
      if (id === path || id.startsWith(`${path}.`)) {
        return `${machineId}.${to}${id.slice(path.length)}`;
      }
    }
    return id;
  };
  for (const timer of timers) {
    const found = /^xstate\.after\.([^.]*(?:\.\d+)?)\.(.*)$/.exec(timer.id);
    if (timer.owner !== ROOT || found === null || timer.event.type !== timer.id) continue;
    timer.id = `xstate.after.${found[1]}.${newId(found[2]!)}`;
    timer.event = { ...timer.event, type: timer.id };
  }
  const newInvokeId = (id: string): string => {
    const found = INVOKED_WITHOUT_ID.exec(id);
    return found === null ? id : `${found[1]}.${newId(found[2]!)}`;
  };
  machine.children = Object.fromEntries(
    Object.entries(machine.children).map(([id, child]) => [newInvokeId(id), child]),
  );
  for (const actor of actors) if (actor.parent === ROOT) actor.id = newInvokeId(actor.id);
  if (machine.historyValue === undefined) return;
  machine.historyValue = Object.fromEntries(
    Object.entries(machine.historyValue).map(([id, nodes]) => [
      newId(id),
      nodes.map((node) => ({ id: newId(node.id) })),
    ]),
  );
}

/**
 * The state without what the new chart's active states don't need, and what each actor lacks.
 */
function fit(
  machine: AnyStateMachine,
  moment: Moment,
  oldMachine: AnyStateMachine | undefined,
): { moment: Moment; wanted: Map<number, readonly Action[]> } {
  const wanted = new Map<number, readonly Action[]>();
  const rows = new Map(moment.actors.map((actor) => [actor.key, actor]));
  const kept = new Set<number>();
  const timersToDrop = new Set<Timer>();
  const fitOne = (
    key: number,
    stored: StoredMachine,
    logic: AnyStateMachine,
    old?: AnyStateMachine,
  ) => {
    if (stored.status !== "active") return stored;
    const { nodes, value, isFinal } = resolve(logic, stored.value);
    if (isFinal) {
      throw new Quarantined(logic.id, `its state would be final: ${JSON.stringify(value)}`);
    }
    const needs = needsOf(nodes);
    const invoked = new Set([...invokeIds(logic), ...(old === undefined ? [] : invokeIds(old))]);
    const children = Object.entries(stored.children).filter(([id, child]) => {
      const src = child.src ?? rows.get(child.key)?.src;
      if (invoked.has(id) || INVOKED_WITHOUT_ID.test(id)) return needs.actors.get(id)?.src === src;
      return true;
    });
    const own = moment.timers.filter(
      ({ owner, id }) => owner === key && id.startsWith("xstate.after."),
    );
    for (const timer of own) if (!needs.timers.has(timer.id)) timersToDrop.add(timer);
    const present = new Set(own.map(({ id }) => id));
    const started = new Set(children.map(([id]) => id));
    wanted.set(key, missing(needs, present, started));
    for (const [, child] of children) {
      const row = rows.get(child.key);
      if (row === undefined) continue;
      kept.add(row.key);
      if (row.machine === undefined) continue;
      const inner = findActorLogic(logic, row.src);
      if (inner === undefined || kindOf(inner) !== "machine") continue;
      const was = old === undefined ? undefined : findActorLogic(old, row.src);
      const oldInner = was !== undefined && kindOf(was) === "machine" ? was : undefined;
      rows.set(row.key, {
        ...row,
        machine: fitOne(
          row.key,
          row.machine,
          inner as AnyStateMachine,
          oldInner as AnyStateMachine,
        ),
      });
    }
    return { ...stored, value, children: Object.fromEntries(children) };
  };
  const root = fitOne(ROOT, moment.machine, machine, oldMachine) as StoredState;
  return {
    wanted,
    moment: {
      machine: root,
      actors: [...rows.values()].filter(({ key }) => kept.has(key)),
      timers: moment.timers.filter(
        (timer) => !timersToDrop.has(timer) && (timer.owner === ROOT || kept.has(timer.owner)),
      ),
    },
  };
}

function missing(
  needs: Needs,
  timers: ReadonlySet<string>,
  actors: ReadonlySet<string>,
): readonly Action[] {
  return [
    ...[...needs.timers].filter(([id]) => !timers.has(id)).map(([, action]) => action),
    ...[...needs.actors].filter(([id]) => !actors.has(id)).map(([, { start }]) => start),
  ];
}

function invokeIds(machine: AnyStateMachine): string[] {
  const ids: string[] = [];
  const look = (node: AnyStateNode): void => {
    ids.push(...node.invoke.map(({ id }) => id));
    for (const child of Object.values(node.states)) look(child);
  };
  look(machine.root);
  return ids;
}

function resolve(machine: AnyStateMachine, value: unknown): ReturnType<typeof activeNodes> {
  try {
    return activeNodes(machine, value);
  } catch (error) {
    throw new Quarantined(machine.id, error instanceof Error ? error.message : String(error));
  }
}

function restored(machine: AnyStateMachine, moment: Moment): MachineState {
  const { machine: stored, actors } = JSON.parse(JSON.stringify(moment)) as Moment;
  return restore(machine, stored, actors);
}

/** What a migration makes is what is stored. */
function asJson(made: VersionedState): VersionedState {
  return JSON.parse(JSON.stringify(made)) as VersionedState;
}
