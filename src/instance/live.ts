import { contextTexts, type ContextTexts } from "../kernel/changes.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { MachineState } from "../kernel/step.ts";
import { restore } from "../kernel/restoring.ts";
import { machineText, restText } from "../kernel/storing.ts";
import type { Stored, StoredActor, StoredState } from "../kernel/stored.ts";
import type { Timer } from "../kernel/timers.ts";
import { effectsDue } from "./effect-book.ts";
import type { HeldRow } from "./held.ts";
import type { DeferredRow } from "./deferred-table.ts";
import type { EffectRow } from "./effect-table.ts";
import type { Identity, Store } from "./store.ts";
import { loadTimers, NO_TIMERS, timersDue, type Timers } from "./timer-book.ts";

/** An instance is held: events are kept, nothing fires. */
export interface Paused {
  /** Since when, in milliseconds since the epoch. */
  at: number;
  by: string;
}

/** An instance in memory between two events: what the tables hold, revived. Never changed in place. */
export interface Live {
  readonly identity: Identity;
  readonly workflow: RegisteredWorkflow;
  readonly machine: MachineState;
  readonly texts: ContextTexts;
  /** As in `Stored`. */
  readonly rest: string;
  readonly timers: Timers;
  readonly effects: ReadonlyMap<number, EffectRow>;
  readonly deferred: readonly DeferredRow[];
  /** Oldest first. */
  readonly held: readonly HeldRow[];
  readonly paused: Paused | null;
  /** Bytes of each actor that has a row. */
  readonly sizes: ReadonlyMap<number, number>;
  readonly seq: number;
  /** The last seal of the journal; null where nothing is sealed. */
  readonly head: string | null;
  readonly updatedAt: number;
}

interface Body {
  machine: StoredState;
  timers: Timer[];
  paused?: Paused;
}

/** An instance that is about to begin. */
export function blank(identity: Identity, workflow: RegisteredWorkflow, first: MachineState): Live {
  return {
    ...{ identity, workflow, machine: first },
    texts: new Map(),
    rest: "",
    timers: NO_TIMERS,
    effects: new Map(),
    deferred: [],
    held: [],
    paused: null,
    sizes: new Map(),
    seq: 0,
    head: null,
    updatedAt: identity.createdAt,
  };
}

/** Whether its machine has not come to its end. */
export function isRunning({ machine }: Live): boolean {
  return machine.snapshot.status === "active";
}

/** The state row's body. What is compared as text goes in as that text. */
export function bodyText(
  stored: Omit<Stored, "actors">,
  timers: readonly Timer[],
  paused: Paused | null,
): string {
  const hold = paused === null ? "" : `,"paused":${JSON.stringify(paused)}`;
  return `{"machine":${machineText(stored)},"timers":${JSON.stringify(timers)}${hold}}`;
}

/** @throws Quarantined where the deployment can't take the stored state */
export function load(store: Store, workflows: ReadonlyMap<string, RegisteredWorkflow>): Live {
  const identity = store.identity();
  const workflow = versionOf(workflows, identity.workflow, identity.version);
  const stored = readStored(store);
  // Restoring takes its argument apart.
  const texts = contextTexts(stored.machine.context);
  const rest = restText(stored.machine);
  const machine = restore(workflow.machine, stored.machine, stored.actors);
  return { ...assemble(store, identity, workflow, machine, stored), texts, rest };
}

/** @throws Quarantined where the deployment doesn't carry that version */
export function versionOf(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  key: string,
  version: string,
): RegisteredWorkflow {
  const newest = workflows.get(key);
  if (newest === undefined) throw new Quarantined(key, "this deployment has no such workflow");
  const workflow = newest.versions.get(version);
  if (workflow !== undefined) return workflow;
  const versions = [...newest.versions.keys()].join(", ");
  throw new Quarantined(
    newest.machine.id,
    `it is of version ${version}, this deployment has ${versions}`,
  );
}

/** What is stored of the state, read as data; it may not fit the deployment. */
export interface StoredInstance {
  machine: StoredState;
  actors: StoredActor[];
  /** Those in the state's row. */
  timers: Timer[];
  paused: Paused | null;
  sizes: ReadonlyMap<number, number>;
  seq: number;
  head: string | null;
  updatedAt: number;
}

export function readStored(store: Store): StoredInstance {
  const { seq, head, updatedAt, body } = store.state();
  const { machine, timers, paused = null } = JSON.parse(body) as Body;
  const texts = store.actors.all();
  const actors = texts.map((text) => JSON.parse(text) as StoredActor);
  const sizes = new Map(actors.map(({ key }, index) => [key, byteLength(texts[index]!)]));
  return { machine, actors, timers, paused, sizes, seq, head, updatedAt };
}

/** An instance of what is stored and a machine that was made of it. */
export function assemble(
  store: Store,
  identity: Identity,
  workflow: RegisteredWorkflow,
  machine: MachineState,
  { timers, paused, sizes, seq, head, updatedAt }: Omit<StoredInstance, "machine" | "actors">,
): Omit<Live, "texts" | "rest"> {
  return {
    ...{ identity, workflow, machine, paused, sizes, seq, head, updatedAt },
    timers: loadTimers(store, timers),
    effects: new Map(store.effects.all().map((row) => [row.key, row])),
    deferred: store.deferred.all(),
    held: store.held.all(),
  };
}

/** When the instance next has something to do by itself; Infinity for never. */
export function nextDue(live: Live): number {
  const { workflow, timers, effects, deferred, held, paused } = live;
  const work = effects.size === 0 ? Infinity : effectsDue(workflow, effects, paused !== null);
  if (paused !== null) return work;
  let due = Math.min(work, timersDue(timers), held[0]?.at ?? Infinity, expiry(live));
  for (const { until } of deferred) due = Math.min(due, until);
  return due;
}

/** When an instance that has come to its end is erased; Infinity for never. */
export function expiry(live: Live): number {
  const { workflow, effects, updatedAt } = live;
  // What is still to be delivered comes first.
  return isRunning(live) || effects.size > 0 ? Infinity : updatedAt + workflow.retention;
}

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}
