import { LEASE } from "../egress/timing.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { SendPayload } from "./effect-rows.ts";
import type { EffectRow } from "./effect-table.ts";
import type { Store } from "./store.ts";

/** Actors of an instance that run at once. */
const MAX_ACTORS = 50;

/** Messages of an instance that are on their way at once. */
const MAX_MESSAGES = 16;

/** What becomes of an instance's work in one transaction. */
export interface EffectChanges {
  remove?: readonly number[];
  add?: readonly EffectRow[];
  /** In the place of the rows of the same keys, where those are still there. */
  put?: readonly EffectRow[];
}

export interface Booked {
  effects: ReadonlyMap<number, EffectRow>;
  /** Under a lease from now on: to be run when the transaction has committed. */
  started: EffectRow[];
}

/**
 * Writes changes, and leases what can run now with the same rows, so that running new work at once
 * costs no second commit. Must run inside a transaction.
 */
export function book(
  store: Store,
  workflow: RegisteredWorkflow,
  before: ReadonlyMap<number, EffectRow>,
  { remove = [], add = [], put = [] }: EffectChanges,
  now: number,
): Booked {
  const removed = remove.filter((key) => before.has(key));
  if (removed.length === 0 && add.length === 0 && put.length === 0 && !hasWaiting(before, now)) {
    return { effects: before, started: [] };
  }
  const effects = new Map(before);
  for (const key of removed) {
    store.effects.delete(key);
    effects.delete(key);
  }
  for (const row of add) effects.set(row.key, row);
  const present = put.filter(({ key }) => effects.has(key));
  for (const row of present) effects.set(row.key, row);

  const started = runnable(workflow, effects, now).map((row) => ({
    ...row,
    status: "running" as const,
    attempt: row.attempt + 1,
    due: now + LEASE,
  }));
  for (const row of started) effects.set(row.key, row);
  const added = new Set(add.map(({ key }) => key));
  for (const key of added) store.effects.insert(effects.get(key)!);
  const changed = new Set([...started, ...present].map(({ key }) => key));
  for (const key of changed) if (!added.has(key)) store.effects.update(effects.get(key)!);
  return { effects, started };
}

function hasWaiting(effects: ReadonlyMap<number, EffectRow>, now: number): boolean {
  for (const { status, due } of effects.values())
    if (status === "waiting" && due <= now) return true;
  return false;
}

/**
 * What waits for nothing but to be run: oldest first, as many as may run, in each lane the first alone.
 * What waits for its next try holds its lane, but no place: others would starve behind it.
 */
function runnable(
  workflow: RegisteredWorkflow,
  effects: ReadonlyMap<number, EffectRow>,
  now: number,
): EffectRow[] {
  const free = freePlaces(effects);
  return firstInLanes(workflow, effects).filter((row) => {
    if (row.due > now || free[sortOf(row)] <= 0) return false;
    free[sortOf(row)] -= 1;
    return true;
  });
}

/**
 * When work is next to be looked at; Infinity for never.
 *
 * @param isPaused results then wait
 */
export function effectsDue(
  workflow: RegisteredWorkflow,
  effects: ReadonlyMap<number, EffectRow>,
  isPaused: boolean,
): number {
  let due = Infinity;
  for (const row of effects.values()) {
    const isSettling = row.status === "settling" && !isPaused;
    if (row.status === "running" || isSettling) due = Math.min(due, row.due);
  }
  const free = freePlaces(effects);
  for (const row of firstInLanes(workflow, effects)) {
    // Without a place it waits for the end of one that runs, which is looked at anyway.
    if (free[sortOf(row)] > 0) due = Math.min(due, row.due);
  }
  return due;
}

function freePlaces(effects: ReadonlyMap<number, EffectRow>): Record<"actor" | "message", number> {
  const free = { actor: MAX_ACTORS, message: MAX_MESSAGES };
  for (const row of effects.values()) if (row.status === "running") free[sortOf(row)] -= 1;
  return free;
}

/** The waiting rows that nothing in their lane is before. */
function firstInLanes(
  workflow: RegisteredWorkflow,
  effects: ReadonlyMap<number, EffectRow>,
): EffectRow[] {
  const lanes = new Set<string>();
  const found: EffectRow[] = [];
  for (const row of effects.values()) {
    if (row.status === "parked" || row.status === "away") continue;
    const lane = laneOf(workflow, row);
    if (lane !== null) {
      if (lanes.has(lane)) continue;
      lanes.add(lane);
    }
    if (row.status === "waiting") found.push(row);
  }
  return found;
}

function sortOf({ kind }: EffectRow): "actor" | "message" {
  return kind === "actor" ? "actor" : "message";
}

/** What keeps its order: the same destination's messages. Null for what stands alone. */
function laneOf(
  { effects }: RegisteredWorkflow,
  { kind, name, payload }: EffectRow,
): string | null {
  const destinationOf = (called: unknown): string =>
    (called as { destination?: string } | undefined)?.destination ?? name;
  switch (kind) {
    case "command":
      return `to ${destinationOf((effects.actions as Record<string, unknown> | undefined)?.[name])}`;
    case "emit":
      return `by ${name}`;
    case "send":
      return `at ${name}/${(JSON.parse(payload) as SendPayload).id}`;
    default:
      return null;
  }
}
