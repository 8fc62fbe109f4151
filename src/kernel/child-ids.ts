import { STOPPED, type Process } from "./process.ts";
import type { Processes } from "./processes.ts";
import { keyOf, type Ref } from "./xstate.ts";

/** Which ids of children are taken during a run: a parent has at most one living child of an id. */
export class ChildIds {
  readonly #processes: Processes;
  /** Children that this run has made, by parent and id: their parent's state may not hold them yet. */
  readonly #born = new Map<string, Process>();
  /** Actors whose end is decided: another may take their id. */
  readonly #doomed = new Set<number>();

  constructor(processes: Processes) {
    this.#processes = processes;
  }

  take(parent: Process, child: Process): void {
    this.#born.set(nameOf(parent, child.actor.id), child);
  }

  /** The actor's end is decided. */
  release(key: number): void {
    this.#doomed.add(key);
  }

  isTaken(parent: Process, id: string): boolean {
    const children = parent.snapshot["children"] as Record<string, Ref | undefined> | undefined;
    const held = children?.[id];
    const others = [held && this.#processes.find(keyOf(held)), this.#born.get(nameOf(parent, id))];
    return others.some(
      (other) =>
        other !== undefined && other.status !== STOPPED && !this.#doomed.has(other.actor.key),
    );
  }
}

function nameOf(parent: Process, id: string): string {
  return `${parent.actor.key}/${id}`;
}
