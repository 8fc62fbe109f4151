import type { MomentThen } from "./archive-format.ts";
import type { Sight } from "../kernel/access.ts";
import { restore } from "../kernel/restoring.ts";
import type { Moment } from "../kernel/moment.ts";
import { restText } from "../kernel/storing.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { contextTexts } from "../kernel/changes.ts";
import { refusal } from "../contract/problem.ts";
import { blank, readStored, versionOf, type Live } from "./live.ts";
import { shownContext, shownMembers } from "./shown.ts";
import type { Identity, Store } from "./store.ts";
import { actorsOf, configurationOf, deadlines, iso, open } from "./view.ts";
import { countTimers } from "./timer-book.ts";

/**
 * An instance made of a moment, for looking at it: it shares nothing with the one that lives.
 *
 * @param moment becomes part of it
 * @throws Quarantined where it doesn't fit the workflow's machine
 */
function liveAt(
  identity: Identity,
  workflow: RegisteredWorkflow,
  { machine, actors, timers }: Moment,
  { seq, at }: { seq: number; at: number },
): Live {
  const texts = contextTexts(machine.context);
  // Restoring takes its argument apart.
  const rest = restText(machine);
  const restored = restore(workflow.machine, machine, actors);
  return {
    ...blank({ ...identity, version: workflow.version }, workflow, restored),
    texts,
    rest,
    // All of them, though a real one keeps most in rows.
    timers: { inline: timers, rows: { count: 0, next: [], blocked: [] } },
    seq,
    updatedAt: at,
  };
}

/**
 * What an instance was after an entry.
 *
 * @throws ProblemError state-not-kept; Quarantined where that version is not deployed
 */
export function momentAt(
  store: Store,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  identity: Identity,
  seq: number,
): Live {
  const { workflow: key, id } = identity;
  const [entry] = seq < 1 ? [] : store.journal(seq - 1, 1);
  if (entry?.seq !== seq) {
    throw refusal("not-found", `${key}/${id} has no entry ${seq} in its history.`);
  }
  const moment = store.moments.at(seq);
  if (moment === null)
    throw refusal("state-not-kept", `What ${key}/${id} was at seq ${seq} is not kept.`);
  const version = store.search.versionBefore(seq) ?? identity.version;
  const workflow = versionOf(workflows, key, version);
  return liveAt({ ...identity }, workflow, moment, { seq, at: entry.at });
}

/** As `momentAt`, of an entry that is archived. @throws Quarantined where that version is not deployed */
export function momentOf(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  identity: Identity,
  seq: number,
  { moment, version, at }: MomentThen,
): Live {
  const workflow = versionOf(workflows, identity.workflow, version);
  return liveAt({ ...identity }, workflow, moment, { seq, at });
}

/** What an instance is now, apart from the one that lives. @throws Quarantined */
export function imagined(store: Store, workflows: ReadonlyMap<string, RegisteredWorkflow>): Live {
  const identity = store.identity();
  const stored = readStored(store);
  const timers = [...stored.timers, ...store.timers.all()];
  const workflow = versionOf(workflows, identity.workflow, identity.version);
  const { seq, updatedAt } = stored;
  const live = liveAt(identity, workflow, { ...stored, timers }, { seq, at: updatedAt });
  return { ...live, deferred: store.deferred.all(), held: store.held.all() };
}

/** What a moment was, as JSON: what the view of it said then, but for what could have happened next. */
export function momentText(live: Live, sight: Sight): string {
  const { identity, machine, seq, updatedAt, texts } = live;
  const { id, workflow, version, epoch } = identity;
  const { status, output, error } = machine.snapshot;
  const tail = {
    ...{ epoch, seq, at: iso(updatedAt), actors: actorsOf(live), timers: deadlines(live) },
    timerCount: countTimers(live.timers),
    output: output === undefined ? undefined : shownMembers(output, sight),
    error: sight.everything ? error : undefined,
  };
  const { text } = configurationOf(live);
  return `${open({ id, workflow, version, status })},${text},"context":${shownContext(texts, sight)},${JSON.stringify(tail).slice(1)}`;
}
