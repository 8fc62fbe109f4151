import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { spawned } from "./actors.ts";
import { contextTexts, joinContext, type ContextTexts } from "./changes.ts";
import { Quarantined, Unsupported } from "./errors.ts";
import { findUnserialisable } from "./json.ts";
import { holds } from "./process.ts";
import { describe, ROOT, type MachineState } from "./step.ts";
import { System, type ActorState } from "./system.ts";
import {
  bareMachineSnapshot,
  findActorLogic,
  hasState,
  isStoredRef,
  keyOf,
  kindOf,
  makeRef,
  prepare,
  rawOf,
  type AnySnapshot,
  type Ref,
} from "./xstate.ts";

/**
 * A child as its parent's state names it. Promise actors have no state worth a row of their own:
 * theirs stands here. The others have a `StoredActor`.
 */
interface StoredChild {
  key: number;
  /** Of a promise actor only. */
  src?: string;
  /** Where it is not the one that its parent's state has it under. */
  id?: string;
  systemId?: string;
  sync?: boolean;
  status?: AnySnapshot["status"];
  output?: unknown;
  error?: unknown;
}

/** A machine's state as it is stored: plain JSON. */
interface StoredMachine {
  value: AnyMachineSnapshot["value"];
  status: AnySnapshot["status"];
  context: Record<string, unknown>;
  output?: unknown;
  error?: unknown;
  historyValue?: Record<string, { id: string }[]>;
  children: Record<string, StoredChild>;
  /** Promise actors that run though another stands in their place. */
  displaced?: StoredChild[];
}

/** The instance's own machine. */
export interface StoredState extends StoredMachine {
  nextKey: number;
}

/** A child machine, or transition logic, as its row holds it. */
export interface StoredActor {
  key: number;
  id: string;
  src: string;
  parent: number;
  systemId?: string;
  sync?: boolean;
  machine?: StoredMachine;
  /** The state of transition logic, whatever it is made of. */
  snapshot?: AnySnapshot;
}

/** A state as it is stored. The context is apart, as JSON texts, since it is compared as such. */
export interface Stored {
  head: Omit<StoredState, "context">;
  texts: ContextTexts;
  /** JSON of each `StoredActor` that is new or changed; null where it is gone. */
  actors: ReadonlyMap<number, string | null>;
}

/**
 * @param before the state that this one follows: what is the same object still needn't be looked at
 * @throws Unsupported where the context or the output holds what JSON would change
 */
export function store(state: MachineState, before?: MachineState): Stored {
  const head = machineHead(state, state.actors.get(ROOT)!, before?.snapshot.context);
  return {
    head: { ...head, nextKey: state.nextKey },
    texts: contextTexts(state.snapshot.context as Record<string, unknown>),
    actors: changedActors(state, before),
  };
}

const NONE: ReadonlyMap<number, string | null> = new Map();

function changedActors(state: MachineState, before?: MachineState): Stored["actors"] {
  const { actors } = state;
  if (before?.actors === actors || (actors.size === 1 && (before?.actors.size ?? 1) === 1)) {
    return NONE;
  }
  const changed = new Map<number, string | null>();
  // A promise's state stands in its parent's row.
  const parents = new Set<number>();
  for (const [key, { kind, parent, snapshot }] of actors) {
    if (kind !== "promise" || before?.actors.get(key)?.snapshot === snapshot) continue;
    parents.add(parent!);
  }
  for (const [key, actor] of actors) {
    if (key === ROOT || actor.kind === "promise") continue;
    const earlier = before?.actors.get(key);
    if (earlier?.snapshot === actor.snapshot && !parents.has(key)) continue;
    changed.set(key, actorText(state, actor, earlier));
  }
  for (const [key, { kind }] of before?.actors ?? []) {
    if (kind !== "promise" && !actors.has(key)) changed.set(key, null);
  }
  return changed;
}

function actorText(state: MachineState, actor: ActorState, before?: ActorState): string {
  const { key, id, src, parent, systemId, sync } = actor;
  const row: StoredActor = {
    key,
    id,
    src,
    parent: parent!,
    ...(systemId === undefined ? {} : { systemId }),
    ...(sync ? { sync } : {}),
  };
  if (actor.kind === "transition") {
    checkSerialisable(state, { [id]: actor.snapshot }, "the state of ");
    return JSON.stringify({ ...row, snapshot: actor.snapshot });
  }
  const earlier = before?.snapshot["context"] as Record<string, unknown> | undefined;
  const head = JSON.stringify(machineHead(state, actor, earlier));
  const context = joinContext(contextTexts(actor.snapshot.context as Record<string, unknown>));
  const machine = `${head.slice(0, -1)},"context":${context}}`;
  return `${JSON.stringify(row).slice(0, -1)},"machine":${machine}}`;
}

function machineHead(
  state: MachineState,
  actor: ActorState,
  contextBefore: Record<string, unknown> | undefined,
): Omit<StoredMachine, "context"> {
  const snapshot = actor.snapshot as unknown as AnyMachineSnapshot;
  const { value, status, output, error, historyValue } = snapshot;
  const context = snapshot.context as Record<string, unknown>;
  checkConfiguration(snapshot);
  checkSerialisable(state, context, "context.", contextBefore);
  const head: Omit<StoredMachine, "context"> = {
    value,
    status,
    children: storedChildren(state, snapshot),
  };
  if (output !== undefined) {
    checkSerialisable(state, { output: output as unknown }, "");
    head.output = output;
  }
  if (error !== undefined) head.error = error;
  const displaced = displacedPromises(state, actor);
  if (displaced.length > 0) head.displaced = displaced;
  const remembered = Object.entries(historyValue as Record<string, { id: string }[]>);
  if (remembered.length > 0) {
    head.historyValue = Object.fromEntries(
      remembered.map(([id, nodes]) => [id, nodes.map((node) => ({ id: node.id }))]),
    );
  }
  return head;
}

function storedChildren(
  { actors }: MachineState,
  { children, status }: AnyMachineSnapshot,
): Record<string, StoredChild> {
  const stored: Record<string, StoredChild> = {};
  if (status !== "active") return stored;
  for (const [id, ref] of Object.entries(children as Record<string, Ref | undefined>)) {
    const actor = ref && actors.get(keyOf(ref));
    if (actor === undefined) continue;
    stored[id] = actor.kind === "promise" ? storedPromise(actor, id) : { key: actor.key };
  }
  return stored;
}

function storedPromise(actor: ActorState, under: string | undefined): StoredChild {
  const { key, id, src, systemId, sync, snapshot } = actor;
  const stored: StoredChild = { key, src };
  if (id !== under) stored.id = id;
  if (systemId !== undefined) stored.systemId = systemId;
  if (sync) stored.sync = sync;
  if (snapshot.status === "active") return stored;
  stored.status = snapshot.status;
  if (snapshot.output !== undefined) stored.output = snapshot.output;
  if (snapshot.error !== undefined) stored.error = snapshot.error;
  return stored;
}

function displacedPromises({ actors }: MachineState, { key, snapshot }: ActorState): StoredChild[] {
  if (actors.size === 1) return [];
  return [...actors.values()].flatMap((actor) => {
    const isDisplaced =
      actor.parent === key && actor.kind === "promise" && !holds(snapshot, actor.ref);
    return isDisplaced ? [storedPromise(actor, undefined)] : [];
  });
}

const legal = new WeakSet<object>();

/**
 * Transitions across the regions of a parallel state can lead XState into two states of one region at
 * once, or into none. The state's value can't say so: restored, it would be another state.
 *
 * @see https://www.w3.org/TR/scxml/#LegalStateConfigurations
 */
function checkConfiguration({ _nodes: nodes, machine, value }: AnyMachineSnapshot): void {
  if (legal.has(nodes)) return;
  const active = new Set(nodes);
  for (const node of nodes) {
    const children = Object.values(node.states).filter(({ type }) => type !== "history");
    const count = children.filter((child) => active.has(child)).length;
    const wanted = node.type === "compound" ? 1 : node.type === "parallel" ? children.length : 0;
    if (count === wanted && (node.parent === undefined || active.has(node.parent))) continue;
    throw new Unsupported(
      { machine: machine.id, state: describe({ value }) },
      `XState has got into states that can't be active together, at "${node.id}"`,
      "Look for transitions of one region that lead into another; let them leave the parallel state as a whole.",
    );
  }
  legal.add(nodes);
}

function checkSerialisable(
  state: MachineState,
  values: Record<string, unknown>,
  root: string,
  before: Record<string, unknown> = {},
): void {
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value === undefined || value === before[name]) continue;
    const found = findUnserialisable(value, root + name, true);
    if (found === null) continue;
    throw new Unsupported(
      { machine: state.snapshot.machine.id, state: describe(state.snapshot) },
      `${found} can't be stored as JSON`,
      "Keep plain objects, lists, finite numbers, strings, booleans and null in the context.",
    );
  }
}

/**
 * Reads a stored state back, without starting anything.
 *
 * @param stored parsed afresh, as `rows` must be: both become part of the result
 * @param rows of all other machines and transition logics, in the order of their keys
 * @throws Quarantined where it doesn't fit the machine
 */
export function restore(
  machine: AnyStateMachine,
  stored: StoredState,
  rows: readonly StoredActor[] = [],
): MachineState {
  return new Restoring(machine, stored).restore(rows);
}

class Restoring {
  readonly #system = new System();
  readonly #stored: StoredState;
  readonly #name: string;
  readonly #actors = new Map<number, ActorState>();
  readonly #systemIds = new Map<string, number>();
  readonly #root: AnyStateMachine;

  constructor(machine: AnyStateMachine, stored: StoredState) {
    this.#stored = stored;
    this.#name = machine.id;
    this.#root = prepare(machine, spawned);
  }

  restore(rows: readonly StoredActor[]): MachineState {
    const ref = this.#makeRef(ROOT, undefined, { id: "root", src: this.#name, sync: false });
    this.#add({ key: ROOT, id: "root", src: this.#name, parent: null }, ref, this.#root);
    this.#addPromises(ROOT, this.#stored);
    for (const row of rows) {
      const parent = this.#parentOf(row);
      const made = this.#makeRef(row.key, parent.ref, { ...row, sync: row.sync === true });
      this.#add(row, made, this.#logicOf(parent, row));
      if (row.machine !== undefined) this.#addPromises(row.key, row.machine);
    }
    // References may point anywhere: states come when all actors are there.
    this.#restoreMachine(ROOT, this.#stored);
    for (const { key, machine, snapshot } of rows) {
      if (machine !== undefined) this.#restoreMachine(key, machine);
      else this.#set(key, this.revive(snapshot) as AnySnapshot);
    }
    return {
      snapshot: this.#actors.get(ROOT)!.snapshot as unknown as AnyMachineSnapshot,
      actors: this.#actors,
      systemIds: this.#systemIds,
      nextKey: this.#stored.nextKey,
      system: this.#system,
    };
  }

  #restoreMachine(key: number, stored: StoredMachine): void {
    const { ref, logic } = this.#actors.get(key)!;
    const machine = logic as AnyStateMachine;
    const { children, displaced: _, context, historyValue = {}, ...rest } = stored;
    for (const { id } of Object.values(historyValue).flat()) {
      if (!hasState(machine, id)) {
        throw new Quarantined(machine.id, `the remembered state "${id}" is gone`);
      }
    }
    let snapshot: AnyMachineSnapshot;
    try {
      snapshot = bareMachineSnapshot(machine, { ...rest, historyValue }, { self: ref });
    } catch (error) {
      throw new Quarantined(machine.id, error instanceof Error ? error.message : String(error));
    }
    snapshot.context = this.revive(context);
    snapshot.children = Object.fromEntries(
      Object.entries(children).flatMap(([id, child]) => {
        const actor = this.#actors.get(child.key);
        return actor === undefined ? [] : [[id, actor.ref as never]];
      }),
    );
    this.#set(key, snapshot as unknown as AnySnapshot);
  }

  #addPromises(parent: number, { children, displaced = [] }: StoredMachine): void {
    const under = Object.entries(children).map(([id, child]) => ({ id, ...child }));
    for (const child of [...under, ...displaced]) {
      if (child.src === undefined) continue;
      const { key, src, id = "", sync = false, status = "active", output, error } = child;
      const above = this.#actors.get(parent)!;
      const row = { key, id, src, parent, ...systemIdOf(child) };
      const logic = this.#logicOf(above, row);
      this.#add({ ...row, sync }, this.#makeRef(key, above.ref, { id, src, sync }), logic);
      this.#set(key, { status, output, error, input: undefined });
    }
  }

  #parentOf({ id, parent }: StoredActor): ActorState {
    const found = this.#actors.get(parent);
    if (found === undefined) throw new Quarantined(this.#name, `the parent of "${id}" is gone`);
    return found;
  }

  #logicOf(parent: ActorState, { id, src }: { id: string; src: string }) {
    const machine = rawOf(parent.logic as AnyStateMachine);
    const logic = findActorLogic(machine, src);
    if (logic === undefined) {
      throw new Quarantined(machine.id, `the actor "${src}" that "${id}" runs is gone`);
    }
    return kindOf(logic) === "machine" ? prepare(logic as AnyStateMachine, spawned) : logic;
  }

  #add(
    row: Pick<StoredActor, "key" | "id" | "src" | "systemId" | "sync"> & { parent: number | null },
    ref: Ref,
    logic: ActorState["logic"],
  ): void {
    const { key, id, src, parent, sync = false } = row;
    const kind = kindOf(logic);
    if (kind === null) throw new Quarantined(this.#name, `the actor "${src}" can't be kept alive`);
    const snapshot: AnySnapshot = { status: "active" };
    this.#actors.set(key, {
      ...{ key, id, src, parent, sync, ref, logic, kind, snapshot },
      ...systemIdOf(row),
    });
  }

  /** What has come to its end gives its systemId free. */
  #set(key: number, snapshot: AnySnapshot): void {
    const actor = this.#actors.get(key)!;
    this.#actors.set(key, { ...actor, snapshot });
    if (actor.systemId !== undefined && snapshot.status === "active") {
      (actor.ref as { systemId: string }).systemId = actor.systemId;
      this.#systemIds.set(actor.systemId, key);
    }
  }

  #makeRef(key: number, parent: Ref | undefined, of: { id: string; src: string; sync: boolean }) {
    return this.#system.reserve(key, () => makeRef(this.#system, parent, of));
  }

  /** Puts references in the place of their stored forms. */
  revive<Value>(value: Value): Value {
    return reviveRefs(value, this.#actors, this.#system);
  }
}

function systemIdOf({ systemId }: { systemId?: string }): { systemId?: string } {
  return systemId === undefined ? {} : { systemId };
}

/** A delayed event as its actor gets it: what was stored, its references revived. */
export function reviveEvent<Event extends object>(state: MachineState, event: Event): Event {
  const stored = JSON.parse(JSON.stringify(event)) as Event;
  return reviveRefs(stored, state.actors, state.system);
}

function reviveRefs<Value>(
  value: Value,
  actors: ReadonlyMap<number, ActorState>,
  system: System,
): Value {
  if (typeof value !== "object" || value === null) return value;
  if (isStoredRef(value)) {
    const { key, id } = value;
    const alive = actors.get(key)?.ref;
    // Of what is gone a reference remains that says so, and swallows what is sent to it.
    const root = actors.get(ROOT)?.ref;
    const made =
      alive ?? system.reserve(key, () => makeRef(system, root, { id, src: id, sync: false }));
    return made as unknown as Value;
  }
  const parts = value as Record<string, unknown>;
  for (const name of Object.keys(parts)) {
    const part = parts[name];
    if (typeof part === "object" && part !== null) parts[name] = reviveRefs(part, actors, system);
  }
  return value;
}
