import { changesText } from "../kernel/changes.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { MachineState } from "../kernel/step.ts";
import { store as storedForm } from "../kernel/storing.ts";
import { timerChangesText, TimerRowChanges } from "../kernel/timer-changes.ts";
import type { Timer } from "../kernel/timers.ts";
import type { EffectChanges } from "./effect-book.ts";
import { bodyText, byteLength, type Live } from "./live.ts";
import {
  bookEffects,
  checkSize,
  comparable,
  effectsText,
  journalRow,
  type Happening,
  type Recorded,
} from "./recorder.ts";
import type { Store } from "./store.ts";
import { countTimers, placeTimers } from "./timer-book.ts";

/** What is put in the place of an instance's state. */
export interface Replacement {
  workflow: RegisteredWorkflow;
  machine: MachineState;
  timers: readonly Timer[];
  effects: EffectChanges;
}

/**
 * Writes a state that no event has led to: one of the past, or one of another version. It is journalled
 * like all else. Must run inside a transaction.
 */
export function replaceState(
  store: Store,
  live: Live,
  happening: Happening,
  { workflow, machine, timers, effects: changes }: Replacement,
  now: number,
): Recorded {
  const seq = live.seq + 1;
  const stored = storedForm(machine);
  const gone = [...live.sizes.keys()].filter((key) => !stored.actors.has(key));
  const before = allTimers(store, live);
  store.timers.deleteAll();
  store.actors.deleteAll();
  for (const [key, text] of stored.actors) store.actors.write(key, text);
  const placed = placeTimers(store, timers);
  const kept = new Set(timers.map(({ key }) => key));
  const dropped = new TimerRowChanges();
  dropped.drop.push(...before.map(({ key }) => key).filter((key) => !kept.has(key)));
  if (workflow.version !== live.identity.version) store.setVersion(workflow.version);
  const { effects, started } = bookEffects(store, { ...live, workflow }, changes, now);
  const next: Live = {
    ...live,
    identity: { ...live.identity, version: workflow.version },
    workflow,
    machine,
    texts: stored.texts,
    rest: stored.rest,
    timers: placed,
    effects,
    sizes: new Map([...stored.actors].map(([key, text]) => [key, byteLength(text!)])),
    seq,
    updatedAt: now,
  };
  const body = bodyText(stored, placed.inline, next.paused);
  checkSize(body, next.sizes, next);
  const actors = new Map<number, string | null>(stored.actors);
  for (const key of gone) actors.set(key, null);
  const entry = journalRow(
    seq,
    now,
    happening,
    next,
    changesText(comparable(live), comparable(next), {
      actors,
      timers: timerChangesText([], timers, dropped),
      effects: effectsText(changes.add),
      credential: happening.credential,
    }),
  );
  const head = store.record(entry, body, null, live.identity, live.head);
  return { live: { ...next, head }, entry, started };
}

/** Those in the state's row and those with rows of their own. */
function allTimers(store: Store, { timers }: Live): Timer[] {
  const inRows = countTimers(timers) === timers.inline.length ? [] : store.timers.all();
  return [...timers.inline, ...inRows];
}
