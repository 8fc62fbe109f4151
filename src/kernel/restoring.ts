import type { AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { Quarantined } from "./errors.ts";
import { ROOT, type MachineState } from "./step.ts";
import type { StoredActor, StoredMachine, StoredState } from "./stored.ts";
import { spawned, System, type ActorState } from "./system.ts";
import {
  bareMachineSnapshot,
  findActorLogic,
  hasState,
  isStoredRef,
  kindOf,
  makeRef,
  prepare,
  rawOf,
  type AnySnapshot,
  type Ref,
} from "./xstate.ts";

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

/** A state that is being read back: actors first, then their states, which may refer to any of them. */
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
