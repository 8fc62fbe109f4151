import { refusal, type ProblemError } from "../../contract/problem.ts";
import { restore } from "../../kernel/restoring.ts";
import type { Moment } from "../../kernel/moment.ts";
import { promisesIn, withNewKeys } from "../../kernel/generations.ts";
import type { RegisteredWorkflow } from "../../kernel/registration.ts";
import type { EffectChanges } from "../effect-book.ts";
import { callOff, isRun, newEffect, runAgain, type InstancePayload } from "../effect-rows.ts";
import type { Live } from "../live.ts";
import type { TakenBack } from "../journal-search.ts";
import { replaceState } from "../replace.ts";
import type { EffectRow } from "../effect-table.ts";
import type { Store } from "../store.ts";
import { NOTHING_TO_DO, notPossible, operated, type Done, type Operating } from "./operating.ts";

interface Target {
  to: number;
  shiftTimers?: boolean;
}

/**
 * Puts the instance back into the state it was in after an entry. The history goes on: nothing of it is
 * removed, and what came under a key is still known.
 */
export function rewind(around: Operating, target: Target): Done {
  const { live, processor } = around;
  const { store } = processor.transactions;
  if (target.to < 1 || target.to > live.seq) {
    throw notPossible(around, `has the entries 1 to ${live.seq}, and no ${target.to}.`);
  }
  const [last] = store.journal(live.seq - 1, 1);
  const isThere =
    last?.type === "durachart.rewound" && (JSON.parse(last.data!) as Target).to === target.to;
  // A repeat finds the instance where it wanted it.
  if (isThere || target.to === live.seq) return NOTHING_TO_DO;
  return goBack(around, target, "rewound");
}

/** @param type what it is journalled as */
export function goBack(around: Operating, { to, shiftTimers = false }: Target, type: string): Done {
  const { processor, live, now } = around;
  const { store } = processor.transactions;
  const moment = to > store.archived.through() ? store.moments.at(to) : null;
  if (moment === null) throw notKept(live, to);
  const workflow = versionAt(around, to);
  const since = gone(store, live, to, moment);
  const revived = revive(around, workflow, moment, to);
  const { machine, restarted, effects } = revived;
  const shift = shiftTimers ? now - store.journal(to - 1, 1)[0]!.at : 0;
  const timers = revived.timers.map((timer) => ({ ...timer, at: timer.at + shift }));
  const withdrawn = [...live.effects.values()].filter((row) => isWithdrawn(row, moment));
  const remove = [...(effects.remove ?? []), ...withdrawn.map(({ key }) => key)];
  processor.transactions.commit(() => {
    const isOtherVersion = workflow.version !== live.identity.version;
    const happening = operated(around, type, {
      to,
      ...(since.keys.withdrawn.length > 0 ? { withdrawn: since.keys.withdrawn } : {}),
      ...(since.keys.maybeLeft.length > 0 ? { maybeLeft: since.keys.maybeLeft } : {}),
      ...(shiftTimers ? { shiftTimers } : {}),
      ...(isOtherVersion ? { from: live.identity.version, version: workflow.version } : {}),
    });
    const replacement = { workflow, machine, timers, effects: { ...effects, remove } };
    return [replaceState(store, live, happening, replacement, now)];
  });
  processor.fireTimers(now);
  processor.inner.takeDeferred(now);
  return { changed: true, to, ...since.told, stopped: revived.stopped, restarted };
}

/** The version that the instance had then. */
function versionAt(around: Operating, to: number): RegisteredWorkflow {
  const { live, processor } = around;
  const { search } = processor.transactions.store;
  const version = search.versionBefore(to) ?? live.identity.version;
  const workflow = live.workflow.versions.get(version);
  if (workflow !== undefined) return workflow;
  throw notPossible(around, `was of version ${version} at seq ${to}, which is not deployed.`);
}

/** Asked for after that moment, and not yet delivered. That another instance is to stop stays so. */
function isWithdrawn({ key, kind }: EffectRow, { machine }: Moment): boolean {
  return !isRun({ kind }) && kind !== "send" && key >= machine.nextKey;
}

/** What has left since, which no going back takes back. */
function gone(store: Store, live: Live, to: number, moment: Moment) {
  const left: object[] = [];
  const maybeLeft: object[] = [];
  const withdrawn: object[] = [];
  const started: object[] = [];
  // What an earlier going back took away is no longer there to tell.
  const before = store.search.takenBack(to);
  const keys: TakenBack = { withdrawn: [], maybeLeft: [] };
  for (const { seq, effect } of store.search.effectsAfter(to)) {
    const [key, kind, name, payload] = effect;
    if (before.withdrawn.includes(key)) continue;
    const what = { seq, what: `${kind} ${name}` };
    const row = live.effects.get(key);
    if (kind === "instance") {
      const { workflow, instance } = payload as InstancePayload;
      if (row?.attempt !== 0) started.push({ seq, workflow, id: instance });
    } else if (row === undefined) {
      (before.maybeLeft.includes(key) ? maybeLeft : left).push(what);
    } else if (row.attempt > 0) {
      maybeLeft.push(what);
      if (isWithdrawn(row, moment)) keys.maybeLeft.push(key);
    } else if (isWithdrawn(row, moment)) {
      withdrawn.push(what);
      keys.withdrawn.push(key);
    }
  }
  return { told: { left, maybeLeft, withdrawn, started }, keys };
}

/**
 * The machine of that moment. What runs is stopped, and what ran then runs anew, under a key that no
 * earlier result fits. Two kinds of runs stay instead: instances, which have a life of their own, and
 * those whose result is here already and only waits to be taken.
 */
function revive(around: Operating, workflow: RegisteredWorkflow, moment: Moment, to: number) {
  const { live, processor, now } = around;
  const wanted = promisesIn(moment);
  const isSameVersion = workflow.version === live.identity.version;
  const stays = new Set(
    wanted.filter((key) => {
      const row = live.effects.get(key);
      return (
        row?.kind === "instance" || (isSameVersion && row !== undefined && row.result !== null)
      );
    }),
  );
  const next = { next: live.machine.nextKey };
  const renamed = wanted.filter((key) => !stays.has(key));
  const keys = new Map(renamed.map((key) => [key, next.next++] as const));
  const running = [...live.effects.values()].filter((row) => isRun(row) && !stays.has(row.key));
  const stopped = running.flatMap(({ attempt, kind, name }) =>
    attempt > 0 ? [`${kind} ${name}`] : [],
  );
  const { add, remove } = callOff(live, running, next, now);
  const runs = processor.transactions.store.search.runs(new Set(keys.keys()), to);
  const restarted: string[] = [];
  for (const [before, key] of keys) {
    const run = runs.get(before);
    if (run === undefined) throw notKept(live, to);
    const [, kind, name] = run;
    const payload = runAgain(live, run[3], { before, now: key });
    add.push(
      newEffect(live, now, { kind: kind as EffectRow["kind"], key, name, payload, hops: 0 }),
    );
    restarted.push(`${kind} ${name}`);
  }
  const { machine, actors, timers } = withNewKeys(moment, keys);
  const restored = restore(workflow.machine, { ...machine, nextKey: next.next }, actors);
  const effects: EffectChanges = { add, remove };
  return { machine: restored, timers, stopped, restarted, effects };
}

function notKept({ identity }: Live, seq: number): ProblemError {
  const detail = `What ${identity.workflow}/${identity.id} was at seq ${seq} is not kept.`;
  return refusal("state-not-kept", detail);
}
