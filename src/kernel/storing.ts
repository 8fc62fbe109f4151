import type { AnyMachineSnapshot } from "xstate";
import { contextTexts, joinContext } from "./changes.ts";
import { Unsupported } from "./errors.ts";
import { findUnserialisable } from "./json.ts";
import { checkConfiguration } from "./legal-configuration.ts";
import { holds } from "./process.ts";
import { describe, ROOT, type MachineState } from "./step.ts";
import type { Stored, StoredActor, StoredChild, StoredMachine, StoredRest } from "./stored.ts";
import type { ActorState } from "./system.ts";
import { keyOf, type Ref } from "./xstate.ts";

/**
 * @param before the state that this one follows: actors that are the same still needn't be looked at
 * @throws Unsupported where the context or the output holds what JSON would change
 */
export function store(state: MachineState, before?: MachineState): Stored {
  const { value, status, ...rest } = machineHead(state, state.actors.get(ROOT)!);
  return {
    value,
    status,
    nextKey: state.nextKey,
    rest: JSON.stringify(rest),
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
  for (const [key, { kind, parent }] of before?.actors ?? []) {
    if (actors.has(key)) continue;
    if (kind === "promise") parents.add(parent!);
    else changed.set(key, null);
  }
  for (const [key, actor] of actors) {
    if (key === ROOT || actor.kind === "promise") continue;
    const isSame = before?.actors.get(key)?.snapshot === actor.snapshot;
    if (!isSame || parents.has(key)) changed.set(key, actorText(state, actor));
  }
  return changed;
}

function actorText(state: MachineState, actor: ActorState): string {
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
  const head = JSON.stringify(machineHead(state, actor));
  const context = joinContext(contextTexts(actor.snapshot.context as Record<string, unknown>));
  const machine = `${head.slice(0, -1)},"context":${context}}`;
  return `${JSON.stringify(row).slice(0, -1)},"machine":${machine}}`;
}

function machineHead(state: MachineState, actor: ActorState): Omit<StoredMachine, "context"> {
  const snapshot = actor.snapshot as unknown as AnyMachineSnapshot;
  const { value, status, output, error, historyValue } = snapshot;
  const context = snapshot.context as Record<string, unknown>;
  checkConfiguration(snapshot);
  checkSerialisable(state, context, "context.");
  const head: Omit<StoredMachine, "context"> = {
    value,
    status,
    children: storedChildren(state, snapshot),
  };
  if (output !== undefined) {
    // An instance's own output leaves it: references are good only inside.
    checkSerialisable(state, { output: output as unknown }, "", actor.key !== ROOT);
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

function checkSerialisable(
  state: MachineState,
  values: Record<string, unknown>,
  root: string,
  mayHoldRefs = true,
): void {
  // All of it, each time: charts should not alter their context in place, and some will.
  for (const name of Object.keys(values)) {
    const value = values[name];
    if (value === undefined) continue;
    const found = findUnserialisable(value, root + name, mayHoldRefs);
    if (found === null) continue;
    throw new Unsupported(
      { machine: state.snapshot.machine.id, state: describe(state.snapshot) },
      `${found} can't be stored as JSON`,
      "Keep plain objects, lists, finite numbers, strings, booleans and null in the context.",
    );
  }
}

/** JSON of the `StoredState`. */
export function machineText({
  value,
  status,
  nextKey,
  rest,
  texts,
}: Omit<Stored, "actors">): string {
  const head = JSON.stringify({ value, status, nextKey }).slice(0, -1);
  return `${head},${rest.slice(1, -1)},"context":${joinContext(texts)}}`;
}

/** The `rest` of a state that was read back, as `store` would write it. */
export function restText(stored: StoredMachine): string {
  const { children, output, error, displaced, historyValue } = stored;
  return JSON.stringify({ children, output, error, displaced, historyValue } satisfies Partial<
    Record<keyof StoredRest, unknown>
  >);
}
