import type { Origin } from "../contract/attributes.ts";
import { refusal } from "../contract/problem.ts";
import type { Outcome } from "../contract/view.ts";
import { changesText } from "../kernel/changes.ts";
import type { Step } from "../kernel/step.ts";
import type { Stored } from "../kernel/stored.ts";
import type { JournalledEffect } from "../kernel/moment.ts";
import { machineText, store as storedForm } from "../kernel/storing.ts";
import { timerChangesText, TimerRowChanges } from "../kernel/timer-changes.ts";
import { isTimerEffect } from "../kernel/timers.ts";
import { book, type Booked, type EffectChanges } from "./effect-book.ts";
import { effectChanges, isRun } from "./effect-rows.ts";
import { bodyText, byteLength, type Live } from "./live.ts";
import type { DeferredRow } from "./deferred-table.ts";
import type { EffectRow } from "./effect-table.ts";
import type { JournalRow, Store } from "./store.ts";
import { applyTimers, type Timers } from "./timer-book.ts";

/** What a snapshot may weigh. The local runtime enforces no limit, production refuses 2 MB a row. */
const MAX_STATE_BYTES = 1_000_000;

/** What happened, for the journal. */
export interface Happening extends Origin {
  type: string;
  data?: unknown;
  outcome: Outcome;
  by: string;
  /** What its sender proved itself by. */
  credential?: string | undefined;
  hops: number;
  /** Why it was refused after it had been kept. */
  why?: string;
}

export interface Recorded {
  live: Live;
  entry: JournalRow | null;
  /** What is to run now that it is committed. */
  started: EffectRow[];
}

export interface Beside {
  /** The timers before the step; the one that is firing already taken out, as `timerRows` has noted. */
  timers?: Timers;
  timerRows?: TimerRowChanges;
  /** What a repeat of the event is known by. */
  key?: string | null;
  /** Work that the happening brings to its end. */
  finished?: number;
  deferred?: readonly DeferredRow[];
}

/**
 * Writes one happening: journal, state, actors, timers and outgoing work. Must run inside a
 * transaction, and `live` counts only once that has committed.
 *
 * @param step null where the state stays as it was
 * @throws where the key was taken before
 */
export function record(
  store: Store,
  live: Live,
  happening: Happening,
  step: Step | null,
  now: number,
  {
    timers = live.timers,
    timerRows = new TimerRowChanges(),
    key = null,
    finished,
    deferred = live.deferred,
  }: Beside = {},
): Recorded {
  const seq = live.seq + 1;
  const remove = finished === undefined ? [] : [finished];
  const isFirst = live.seq === 0;
  const isSame = step?.state === live.machine && timers === live.timers && !isFirst;
  if (step === null || isSame) {
    const { why, attributes, credential } = happening;
    const changes = JSON.stringify({ why, attributes, credential });
    const entry = journalRow(seq, now, happening, live, changes);
    const head = store.record(entry, null, key, live.identity, live.head);
    const { effects, started } = bookEffects(store, live, { remove }, now);
    return { live: { ...live, effects, deferred, seq, head, updatedAt: now }, entry, started };
  }

  const { state, changes } = effectChanges(live, step, happening, now);
  const stored = storedForm(state, isFirst ? undefined : live.machine);
  const { texts } = stored;
  const { status } = state.snapshot;
  const timerEffects = step.effects.filter(isTimerEffect);
  const isActive = status === "active";
  const remaining = applyTimers(store, timers, timerEffects, now, isActive, timerRows);
  const body = bodyText(stored, remaining.inline, live.paused);
  const sizes = writeActors(store, live, stored);
  checkSize(body, sizes, live);
  const all = { ...changes, remove: [...remove, ...(changes.remove ?? [])] };
  const { effects, started } = bookEffects(store, live, all, now);
  const next: Live = {
    ...live,
    machine: state,
    texts,
    rest: stored.rest,
    timers: remaining,
    effects,
    deferred,
    sizes,
    seq,
    updatedAt: now,
  };
  const timerChanges = timerChangesText(live.timers.inline, remaining.inline, timerRows);
  const entry = journalRow(
    seq,
    now,
    happening,
    next,
    changesText(isFirst ? undefined : comparable(live), comparable(next), {
      actors: stored.actors,
      timers: timerChanges,
      effects: effectsText(changes.add),
      attributes: happening.attributes,
      credential: happening.credential,
    }),
  );
  const head = store.record(entry, body, key, live.identity, live.head);
  if (store.moments.isDue(seq)) keepMoment(store, next, stored);
  return { live: { ...next, head }, entry, started };
}

/** The whole state, for whoever asks what it was. */
function keepMoment(store: Store, { seq, timers }: Live, stored: Stored): void {
  const inRows = timers.rows.count === 0 ? [] : store.timers.all();
  store.moments.keep(seq, machineText(stored), store.actors.all(), [...timers.inline, ...inRows]);
}

/** A state as `changesText` compares it. */
export function comparable({ machine, texts, rest }: Live) {
  return { status: machine.snapshot.status, texts, rest, nextKey: machine.nextKey };
}

/** JSON of what was asked for; empty for nothing. */
export function effectsText(added: readonly EffectRow[] = []): string {
  return added.length === 0 ? "" : JSON.stringify(journalled(added));
}

/** Work as it is remembered: with its payload where it may have to be run once more, if somebody goes back. */
export function journalled(rows: readonly EffectRow[]): JournalledEffect[] {
  return rows.map((row) => {
    const { key, kind, name, payload } = row;
    return isRun(row) ? [key, kind, name, JSON.parse(payload)] : [key, kind, name];
  });
}

/** Writes the state row as it is, without anything having happened to the machine. */
export function keep(store: Store, live: Live): void {
  const stored = storedForm(live.machine, live.machine);
  store.writeState(bodyText(stored, live.timers.inline, live.paused));
}

export function bookEffects(store: Store, live: Live, changes: EffectChanges, now: number): Booked {
  return book(store, live.workflow, live.effects, changes, now);
}

export function journalRow(
  seq: number,
  at: number,
  { type, data, outcome, by }: Happening,
  live: Live,
  changes: string,
): JournalRow {
  return {
    seq,
    at,
    type,
    data: data === undefined ? null : JSON.stringify(data),
    outcome,
    by,
    state: JSON.stringify(live.machine.snapshot.value),
    changes,
  };
}

function writeActors(store: Store, live: Live, { actors }: Stored): Live["sizes"] {
  if (actors.size === 0) return live.sizes;
  const sizes = new Map(live.sizes);
  for (const [key, text] of actors) {
    store.actors.write(key, text);
    if (text === null) sizes.delete(key);
    else sizes.set(key, byteLength(text));
  }
  return sizes;
}

/** @throws ProblemError state-too-large */
export function checkSize(body: string, sizes: Live["sizes"], { identity }: Live): void {
  let others = 0;
  for (const size of sizes.values()) others += size;
  // A UTF-16 unit is at most three bytes of UTF-8: only large bodies need counting.
  if (body.length * 3 + others <= MAX_STATE_BYTES) return;
  const bytes = byteLength(body) + others;
  if (bytes <= MAX_STATE_BYTES) return;
  throw refusal(
    "state-too-large",
    `The state of ${identity.workflow}/${identity.id} would take ${bytes} bytes; at most ${MAX_STATE_BYTES}. Keep large values elsewhere and a reference in the context.`,
  );
}
