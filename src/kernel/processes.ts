import { GONE, NOT_STARTED, Process, RUNNING, STOPPED, type ProcessStatus } from "./process.ts";
import type { ActorState } from "./system.ts";
import { keyOf, type ActorScope, type AnySnapshot } from "./xstate.ts";

/** The actors of an instance during a run: a process for each that it touches, made when it is needed. */
export class Processes {
  readonly #before: ReadonlyMap<number, ActorState>;
  readonly #scopeOf: (process: Process) => ActorScope;
  readonly #touched = new Map<number, Process>();

  constructor(before: ReadonlyMap<number, ActorState>, scopeOf: (process: Process) => ActorScope) {
    this.#before = before;
    this.#scopeOf = scopeOf;
  }

  /** Those that the run has touched or made, parents before their children. */
  get touched(): ReadonlyMap<number, Process> {
    return this.#touched;
  }

  find(key: number): Process | undefined {
    const known = this.#touched.get(key);
    if (known !== undefined) return known;
    const actor = this.#before.get(key);
    if (actor === undefined) return undefined;
    const { snapshot } = actor;
    const status = snapshot.status === "active" ? RUNNING : STOPPED;
    const process = new Process(actor, snapshot, status, this.#scopeOf);
    process.isOpen = true;
    this.#touched.set(key, process);
    return process;
  }

  /** A process for an actor that is new; its logic isn't evaluated yet. */
  add(actor: Omit<ActorState, "snapshot" | "key" | "id" | "systemId">): Process {
    const { ref } = actor;
    const { id, systemId } = ref;
    const whole = {
      ...actor,
      key: keyOf(ref),
      id,
      ...(systemId === undefined ? {} : { systemId }),
    };
    const process = new Process(whole, { status: "active" }, NOT_STARTED, this.#scopeOf);
    this.#touched.set(whole.key, process);
    return process;
  }

  snapshotOf(key: number): AnySnapshot {
    return (this.#touched.get(key) ?? this.#before.get(key))?.snapshot ?? GONE;
  }

  statusOf(key: number): ProcessStatus {
    return this.find(key)?.status ?? STOPPED;
  }

  /** The way from the instance's machine to the one that asks, as `Effect` has it. */
  pathOf({ actor }: Process): string[] {
    const path: string[] = [];
    for (let parent = actor.kind === "promise" ? actor.parent : actor.key; parent !== null;) {
      const above = this.find(parent)!.actor;
      if (above.parent !== null) path.unshift(above.src);
      parent = above.parent;
    }
    return path;
  }
}
