import { contextTexts, type ContextTexts } from "../kernel/changes.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { MachineState } from "../kernel/step.ts";
import { restore } from "../kernel/restoring.ts";
import { machineText, restText } from "../kernel/storing.ts";
import type { Stored, StoredActor, StoredState } from "../kernel/stored.ts";
import type { Timer } from "../kernel/timers.ts";
import { effectsDue } from "./effect-book.ts";
import type { DeferredRow, EffectRow, Identity, Store } from "./store.ts";
import { loadTimers, timersDue, type Timers } from "./timer-book.ts";

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
  /** Bytes of each actor that has a row. */
  readonly sizes: ReadonlyMap<number, number>;
  readonly seq: number;
  readonly updatedAt: number;
}

interface Body {
  machine: StoredState;
  timers: Timer[];
}

/** The state row's body. What is compared as text goes in as that text. */
export function bodyText(stored: Omit<Stored, "actors">, timers: readonly Timer[]): string {
  return `{"machine":${machineText(stored)},"timers":${JSON.stringify(timers)}}`;
}

/** @throws Quarantined where the deployment can't take the stored state */
export function load(store: Store, workflows: ReadonlyMap<string, RegisteredWorkflow>): Live {
  const identity = store.identity();
  const workflow = workflows.get(identity.workflow);
  if (workflow === undefined) {
    throw new Quarantined(identity.workflow, "this deployment has no such workflow");
  }
  if (workflow.version !== identity.version) {
    throw new Quarantined(
      workflow.machine.id,
      `it was started with version ${identity.version}, this deployment has ${workflow.version}`,
    );
  }
  const { seq, updatedAt, body } = store.state();
  const { machine, timers } = JSON.parse(body) as Body;
  const texts = contextTexts(machine.context);
  // Restoring takes its argument apart.
  const rest = restText(machine);
  const actors = store.actors();
  const rows = actors.map((text) => JSON.parse(text) as StoredActor);
  return {
    identity,
    workflow,
    machine: restore(workflow.machine, machine, rows),
    texts,
    rest,
    timers: loadTimers(store, timers),
    effects: new Map(store.effects().map((row) => [row.key, row])),
    deferred: store.deferred(),
    sizes: new Map(rows.map(({ key }, index) => [key, byteLength(actors[index]!)])),
    seq,
    updatedAt,
  };
}

/** When the instance next has something to do by itself; Infinity for never. */
export function nextDue({ workflow, timers, effects, deferred }: Live): number {
  let due = timersDue(timers);
  if (effects.size > 0) due = Math.min(due, effectsDue(workflow, effects));
  for (const { until } of deferred) due = Math.min(due, until);
  return due;
}

const encoder = new TextEncoder();

export function byteLength(text: string): number {
  return encoder.encode(text).byteLength;
}
