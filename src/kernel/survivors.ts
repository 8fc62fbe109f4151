import type { Effect } from "./effects.ts";
import { holds, RUNNING, STOPPED, type Process } from "./process.ts";
import type { ActorState } from "./system.ts";

/**
 * The actors that are there after a run; the same map where nothing has changed.
 *
 * @param processes those that the run has touched, parents before their children
 * @param effects where the work of what goes with its parent is called off
 */
export function survivors(
  actors: ReadonlyMap<number, ActorState>,
  processes: ReadonlyMap<number, Process>,
  effects: Effect[],
): ReadonlyMap<number, ActorState> {
  let next: Map<number, ActorState> | undefined;
  for (const process of processes.values()) {
    const { actor, snapshot, status } = process;
    const before = actors.get(actor.key);
    const hasChanged = before?.snapshot !== snapshot;
    if (!hasChanged && status !== STOPPED) continue;
    if (survives(process, actors, processes)) {
      if (hasChanged) (next ??= new Map(actors)).set(actor.key, { ...actor, snapshot });
    } else if (before !== undefined) {
      (next ??= new Map(actors)).delete(actor.key);
    }
  }
  if (next === undefined) return actors;
  // What is below one that is gone goes too. Parents are older than their children, so they come first.
  for (const { key, parent, kind, snapshot } of next.values()) {
    if (parent === null || next.get(parent)?.snapshot.status === "active") continue;
    next.delete(key);
    if (snapshot.status !== "active") continue;
    effects.push(
      kind === "promise" ? { type: "actor.stop", key } : { type: "timer.cancelAll", owner: key },
    );
  }
  return next;
}

/**
 * Whether an actor is still there after the run: while it runs, even if another has taken its place
 * among its parent's children, and after its end for as long as it stands there.
 */
function survives(
  { actor, status }: Process,
  actors: ReadonlyMap<number, ActorState>,
  processes: ReadonlyMap<number, Process>,
): boolean {
  const { parent, ref } = actor;
  if (parent === null || status === RUNNING) return true;
  const snapshot = (processes.get(parent) ?? actors.get(parent))?.snapshot;
  return status === STOPPED && snapshot?.status === "active" && holds(snapshot, ref);
}
