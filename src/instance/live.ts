import { contextTexts, joinContext, type ContextTexts } from "../kernel/changes.ts";
import { timerDue, type Timer } from "../kernel/effects.ts";
import { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { restore, type MachineState, type Stored, type StoredState } from "../kernel/step.ts";
import type { EffectRow, Identity, Store } from "./store.ts";

/** An instance in memory between two events: what the tables hold, revived. Never changed in place. */
export interface Live {
  readonly identity: Identity;
  readonly workflow: RegisteredWorkflow;
  readonly machine: MachineState;
  readonly texts: ContextTexts;
  readonly timers: readonly Timer[];
  readonly effects: ReadonlyMap<number, EffectRow>;
  readonly seq: number;
  readonly updatedAt: number;
}

interface Body {
  machine: StoredState;
  timers: Timer[];
}

/** The state row's body. The context goes in as the text it was compared by. */
export function bodyText({ head, texts }: Stored, timers: readonly Timer[]): string {
  const machine = `${JSON.stringify(head).slice(0, -1)},"context":${joinContext(texts)}}`;
  return `{"machine":${machine},"timers":${JSON.stringify(timers)}}`;
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
  return {
    identity,
    workflow,
    machine: restore(workflow.machine, machine),
    texts,
    timers,
    effects: new Map(store.effects().map((row) => [row.key, row])),
    seq,
    updatedAt,
  };
}

/** When the instance next has something to do by itself; Infinity for never. */
export function nextDue({ timers, effects }: Pick<Live, "timers" | "effects">): number {
  let due = Infinity;
  for (const timer of timers) due = Math.min(due, timerDue(timer));
  for (const effect of effects.values()) due = Math.min(due, effect.due ?? Infinity);
  return due;
}
