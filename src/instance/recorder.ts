import { refusal } from "../contract/problem.ts";
import type { Outcome } from "../contract/view.ts";
import { LEASE } from "../egress/timing.ts";
import { changesText } from "../kernel/changes.ts";
import { nextTimers, type Effect, type Timer } from "../kernel/effects.ts";
import { store as storedForm, type Step } from "../kernel/step.ts";
import { bodyText, type Live } from "./live.ts";
import type { EffectRow, JournalRow, Store } from "./store.ts";

/** What a snapshot may weigh. The local runtime enforces no limit, production refuses 2 MB a row. */
const MAX_STATE_BYTES = 1_000_000;

/** What happened, for the journal. */
export interface Happening {
  type: string;
  data?: unknown;
  outcome: Outcome;
  by: string;
}

export interface Recorded {
  live: Live;
  entry: JournalRow;
  /** What is to run now that it is committed. */
  started: EffectRow[];
}

/**
 * Writes one happening: journal, state, timers and outgoing work. Must run inside a transaction, and
 * `live` counts only once that has committed.
 *
 * @param step null where the state stays as it was
 * @param timers the timers before the step; the one that is firing already taken out
 * @param key what a repeat of the event is known by
 * @throws where the key was taken before
 */
export function record(
  store: Store,
  live: Live,
  happening: Happening,
  step: Step | null,
  now: number,
  { timers = live.timers, key = null }: { timers?: readonly Timer[]; key?: string | null } = {},
): Recorded {
  const seq = live.seq + 1;
  if (step === null) {
    const entry = journalRow(seq, now, happening, live, "{}");
    store.record(entry, null, key);
    return { live: { ...live, seq, updatedAt: now }, entry, started: [] };
  }

  const { machine } = live.workflow;
  const isFirst = live.seq === 0;
  const stored = storedForm(machine, step.state, isFirst ? undefined : live.machine);
  const { texts } = stored;
  const { status } = step.state.snapshot;
  const before = isFirst ? undefined : { status: live.machine.snapshot.status, texts: live.texts };
  const remaining = nextTimers(timers, step.effects, now, status === "active");
  const body = bodyText(stored, remaining);
  checkSize(body, live);
  const { effects, started } = writeEffects(store, live, step.effects, now);
  const next: Live = {
    ...live,
    machine: step.state,
    texts,
    timers: remaining,
    effects,
    seq,
    updatedAt: now,
  };

  const entry = journalRow(seq, now, happening, next, changesText(before, { status, texts }));
  store.record(entry, body, key);
  return { live: next, entry, started };
}

/** Keeps timers that were put off, without anything having happened to the instance. */
export function keepTimers(store: Store, live: Live, timers: readonly Timer[]) {
  const stored = storedForm(live.workflow.machine, live.machine);
  store.writeState(bodyText(stored, timers));
  return { live: { ...live, timers }, entry: null, started: [] };
}

function journalRow(
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

function writeEffects(store: Store, live: Live, effects: readonly Effect[], now: number) {
  const started: EffectRow[] = [];
  const stopped: number[] = [];
  for (const effect of effects) {
    if (effect.type === "actor.stop") stopped.push(effect.key);
    const row = toRow(effect, live, now);
    if (row !== null) started.push(row);
  }
  const running = stopped.filter((key) => live.effects.has(key));
  if (started.length === 0 && running.length === 0) return { effects: live.effects, started };
  const next = new Map(live.effects);
  for (const key of running) {
    store.deleteEffect(key);
    next.delete(key);
  }
  for (const row of started) {
    store.insertEffect(row);
    next.set(row.key, row);
  }
  return { effects: next, started };
}

/** New work is leased from the start, so that running it at once costs no second commit. */
function toRow(effect: Effect, live: Live, now: number): EffectRow | null {
  const row = (
    kind: EffectRow["kind"],
    key: number,
    name: string,
    payload: unknown,
  ): EffectRow => ({
    key,
    kind,
    name,
    payload: JSON.stringify(payload ?? null),
    attempt: 1,
    due: now + LEASE,
    createdAt: now,
    error: null,
    result: null,
  });
  switch (effect.type) {
    case "actor.start":
      return row("actor", effect.key, effect.src, { id: effect.id, input: effect.input });
    case "command":
      return row("command", effect.key, effect.name, effect.params);
    case "emit":
      // Without a route nobody listens, as in XState.
      if (live.workflow.effects.emitted === undefined) return null;
      return row("emit", effect.key, effect.event.type, effect.event);
    default:
      return null;
  }
}

function checkSize(body: string, { identity }: Live): void {
  // A UTF-16 unit is at most three bytes of UTF-8: only large bodies need counting.
  if (body.length * 3 <= MAX_STATE_BYTES) return;
  const bytes = new TextEncoder().encode(body).byteLength;
  if (bytes <= MAX_STATE_BYTES) return;
  throw refusal(
    "state-too-large",
    `The state of ${identity.workflow}/${identity.id} would take ${bytes} bytes; at most ${MAX_STATE_BYTES}. Keep large values elsewhere and a reference in the context.`,
  );
}
