import type { Moment } from "./moment.ts";
import type { StoredChild, StoredMachine } from "./stored.ts";
import { isStoredRef } from "./xstate.ts";

/** The keys of the promise actors that ran at a moment. */
export function promisesIn({ machine, actors }: Moment): number[] {
  return machinesOf({ machine, actors }).flatMap((one) =>
    childrenOf(one).flatMap(({ key, src, status = "active" }) =>
      src !== undefined && status === "active" ? [key] : [],
    ),
  );
}

/**
 * A moment in which some actors have other keys, wherever they are named: a key is a generation, and no
 * result of an earlier run may be taken for one of a later.
 */
export function withNewKeys(moment: Moment, keys: ReadonlyMap<number, number>): Moment {
  if (keys.size === 0) return moment;
  const copy = JSON.parse(JSON.stringify(moment)) as Moment;
  for (const machine of machinesOf(copy)) {
    for (const child of childrenOf(machine)) child.key = keys.get(child.key) ?? child.key;
  }
  renameReferences(copy, keys);
  return copy;
}

function machinesOf({ machine, actors }: Pick<Moment, "machine" | "actors">): StoredMachine[] {
  return [machine, ...actors.flatMap((actor) => actor.machine ?? [])];
}

function childrenOf({ children, displaced = [] }: StoredMachine): StoredChild[] {
  return [...Object.values(children), ...displaced];
}

function renameReferences(value: unknown, keys: ReadonlyMap<number, number>): void {
  if (typeof value !== "object" || value === null) return;
  if (isStoredRef(value)) {
    value.key = keys.get(value.key) ?? value.key;
    return;
  }
  for (const part of Object.values(value)) renameReferences(part, keys);
}
