import { refusal } from "../../contract/problem.ts";
import { contextTexts } from "../../kernel/changes.ts";
import { Quarantined } from "../../kernel/errors.ts";
import { migrate as migrateState, pathBetween, type Migrated } from "../../kernel/migration.ts";
import type { RegisteredWorkflow } from "../../kernel/registration.ts";
import { ROOT, type MachineState } from "../../kernel/step.ts";
import { restText } from "../../kernel/storing.ts";
import { changeTimers, isTimerEffect, type Timer } from "../../kernel/timers.ts";
import { callOff, effectChanges, isRun } from "../effect-rows.ts";
import { assemble, readStored, type Live, type StoredInstance } from "../live.ts";
import { replaceState } from "../replace.ts";
import type { EffectRow } from "../effect-table.ts";
import type { Identity, Store } from "../store.ts";
import { NOTHING_TO_DO, operated, type Done, type OperatingOnStored } from "./operating.ts";

/**
 * Brings the instance to another version of its workflow. It works on what is stored: the version that
 * the instance has need not be deployed. What can't be moved stays as it is.
 *
 * @throws ProblemError operation-not-possible, migration-failed
 */
export function migrate(around: OperatingOnStored, to: string | undefined): Done {
  const { processor, now } = around;
  const { store, workflows } = processor.transactions;
  const identity = store.identity();
  const newest = workflows.get(identity.workflow);
  const version = to ?? newest?.version;
  const workflow = version === undefined ? undefined : newest?.versions.get(version);
  if (newest === undefined || workflow === undefined) {
    throw impossible(identity, `can't come to version ${version}: it is not deployed.`);
  }
  if (identity.version === workflow.version) return NOTHING_TO_DO;
  const path = pathBetween(newest.migrations, identity.version, workflow.version);
  if (path === null) {
    throw impossible(
      identity,
      `is of version ${identity.version}, and no migration leads from there to ${workflow.version}. Add one to the workflow's migrations.`,
    );
  }
  const stored = readStored(store);
  if (stored.machine.status === "error") {
    // Where it would be retried from is of the version that it leaves.
    throw impossible(identity, "has ended in an error. Retry it first, then migrate it.");
  }
  const moment = { ...stored, timers: [...stored.timers, ...store.timers.all()] };
  const oldMachine = newest.versions.get(identity.version)?.machine;
  let migrated: Migrated;
  try {
    migrated = migrateState(workflow.machine, moment, path, oldMachine);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const why = error instanceof Quarantined ? error.why : message;
    throw refusal(
      "migration-failed",
      `${identity.workflow}/${identity.id} stays in version ${identity.version}, untouched: ${why}. Mend the migration, deploy it and migrate again.`,
    );
  }
  const live = before(store, identity, workflow, stored, migrated.machine);
  const { state, changes } = effectChanges(
    live,
    { state: migrated.machine, effects: migrated.effects, taken: true },
    { hops: 0 },
    now,
  );
  // It was started by the version that it had, which says how it is told to stop.
  const was = { ...live, workflow: newest.versions.get(identity.version) ?? workflow };
  const stopped = withoutUnwanted(was, state, now);
  const renamed = renamedRuns(live, state);
  processor.transactions.commit(() => {
    const details = { from: identity.version, to: workflow.version };
    const replacement = {
      ...{ workflow, machine: stopped.state, timers: timersAfter(migrated, now) },
      effects: {
        add: [...(changes.add ?? []), ...stopped.add, ...renamed],
        remove: [...(changes.remove ?? []), ...stopped.remove, ...renamed.map(({ key }) => key)],
      },
    };
    return [replaceState(store, live, operated(around, "migrated", details), replacement, now)];
  });
  processor.fireTimers(now);
  processor.inner.takeDeferred(now);
  return {
    changed: true,
    from: identity.version,
    to: workflow.version,
    started: (changes.add ?? []).map(({ kind, name }) => `${kind} ${name}`),
    stopped: stopped.remove.map((key) => nameOf(live.effects.get(key)!)),
  };
}

/** The instance as it was, as far as what is written next needs to know. */
function before(
  store: Store,
  identity: Identity,
  workflow: RegisteredWorkflow,
  stored: StoredInstance,
  after: MachineState,
): Live {
  const { status, nextKey, context } = stored.machine;
  const machine = { ...after, nextKey, snapshot: { ...after.snapshot, status } } as MachineState;
  return {
    ...assemble(store, identity, workflow, machine, stored),
    texts: contextTexts(context),
    rest: restText(stored.machine),
  };
}

/** Without the runs whose actor is not there any more. */
function withoutUnwanted(live: Live, machine: MachineState, now: number) {
  const runs = [...live.effects.values()].filter(
    (row) => isRun(row) && !machine.actors.has(row.key),
  );
  const keys = { next: machine.nextKey };
  const called = callOff(live, runs, keys, now);
  return { ...called, state: { ...machine, nextKey: keys.next } };
}

/** The runs that go on, as the new version calls them: it knows no other names. */
function renamedRuns(live: Live, { actors }: MachineState): EffectRow[] {
  const pathOf = (key: number | null): string[] => {
    const actor = key === null || key === ROOT ? undefined : actors.get(key);
    return actor === undefined ? [] : [...pathOf(actor.parent), actor.src];
  };
  return [...live.effects.values()].flatMap((row) => {
    const actor = isRun(row) ? actors.get(row.key) : undefined;
    if (actor === undefined) return [];
    const before = JSON.parse(row.payload) as { path?: string[] };
    const path = before.path === undefined ? {} : { path: pathOf(actor.parent) };
    const payload = JSON.stringify({ ...before, id: actor.id, ...path });
    if (row.name === actor.src && payload === row.payload) return [];
    return { ...row, name: actor.src, payload };
  });
}

function timersAfter({ machine, timers, effects }: Migrated, now: number): readonly Timer[] {
  if (machine.snapshot.status !== "active") return [];
  let after: readonly Timer[] = timers;
  for (const effect of effects) if (isTimerEffect(effect)) after = changeTimers(after, effect, now);
  return after;
}

function nameOf({ kind, name }: EffectRow): string {
  return `${kind} ${name}`;
}

function impossible({ workflow, id }: Identity, why: string) {
  return refusal("operation-not-possible", `${workflow}/${id} ${why}`);
}
