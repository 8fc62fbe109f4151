import { Unsupported } from "../kernel/errors.ts";
import { MAX_TIMERS } from "../kernel/limits.ts";
import {
  changeTimers,
  detach,
  firstDue,
  isBefore,
  timerDue,
  timerOf,
  type Timer,
  type TimerEffect,
} from "../kernel/timers.ts";
import { TimerRowChanges } from "../kernel/timer-changes.ts";
import type { Store } from "./store.ts";

/**
 * An instance's timers. The first few stand in the state's row, which is written anyway; those beyond
 * have rows of their own, and only the next of them are in memory.
 */
export interface Timers {
  readonly inline: readonly Timer[];
  readonly rows: {
    readonly count: number;
    /** Those that are due first. */
    readonly next: readonly Timer[];
    readonly blocked: readonly Timer[];
  };
}

/** Timers that are kept in the state's row. */
const INLINE = 16;

/** Timers with a row that are in memory, and that the view shows. */
const SHOWN = 20;

const NO_ROWS: Timers["rows"] = { count: 0, next: [], blocked: [] };

export const NO_TIMERS: Timers = { inline: [], rows: NO_ROWS };

export function loadTimers(store: Store, inline: readonly Timer[]): Timers {
  return { inline, rows: readRows(store, store.timers.count()) };
}

function readRows(store: Store, count: number): Timers["rows"] {
  if (count === 0) return NO_ROWS;
  return { count, next: store.timers.next(SHOWN), blocked: store.timers.blocked(SHOWN) };
}

/** Puts timers where none are. */
export function placeTimers(store: Store, timers: readonly Timer[]): Timers {
  const inline = timers.slice(0, INLINE);
  for (const timer of timers.slice(INLINE)) writeTimer(store, timer);
  return { inline, rows: readRows(store, timers.length - inline.length) };
}

export function countTimers({ inline, rows }: Timers): number {
  return inline.length + rows.count;
}

/** When a timer is next to be looked at; Infinity for never. */
export function timersDue({ inline, rows }: Timers): number {
  let due = rows.next.length === 0 ? Infinity : timerDue(rows.next[0]!);
  for (const timer of inline) due = Math.min(due, timerDue(timer));
  return due;
}

/** The one to fire now. */
export function dueTimer({ inline, rows }: Timers, now: number): Timer | undefined {
  const first = firstDue(inline, now);
  const row = firstDue(rows.next, now);
  if (first === undefined || row === undefined) return first ?? row;
  return isBefore(first, row) ? first : row;
}

/** A delayed event as the journal shows it: most carry nothing, or `data` alone. */
export function shownEvent({ event: { type, ...rest } }: Timer): { type: string; data?: unknown } {
  const names = Object.keys(rest);
  if (names.length === 0) return { type };
  return { type, data: names.length === 1 && names[0] === "data" ? rest["data"] : rest };
}

/** Whether a timer that was due is still there. */
export function hasTimer({ inline, rows }: Timers, { key }: Timer): boolean {
  return [...inline, ...rows.next].some((timer) => timer.key === key);
}

/** The next deadlines, earliest first. */
export function nextTimers({ inline, rows }: Timers): Timer[] {
  return [...inline, ...rows.next]
    .filter((timer) => timerDue(timer) !== Infinity)
    .toSorted((a, b) => a.at - b.at || a.key - b.key)
    .slice(0, SHOWN);
}

export function blockedTimers({ inline, rows }: Timers): Timer[] {
  return [...inline.filter((timer) => timerDue(timer) === Infinity), ...rows.blocked];
}

/**
 * Carries out what a step changed. An instance that has come to its end keeps none.
 *
 * @param noted hears what changes in the rows
 * @throws Unsupported where there would be too many
 */
export function applyTimers(
  store: Store,
  timers: Timers,
  effects: readonly TimerEffect[],
  now: number,
  isActive: boolean,
  noted: TimerRowChanges = new TimerRowChanges(),
): Timers {
  if (!isActive) {
    if (timers.rows.count > 0) store.timers.deleteAll();
    return NO_TIMERS;
  }
  if (effects.length === 0) return timers;
  let { inline } = timers;
  let { count } = timers.rows;
  let areRowsChanged = false;
  for (const effect of effects) {
    if (effect.type === "timer.set") {
      inline = detach(inline, effect);
      if (count > 0) noted.detach.push(...store.timers.detach(effect));
      if (inline.length < INLINE) {
        inline = [...inline, timerOf(effect, now)];
        continue;
      }
      const timer = timerOf(effect, now);
      store.timers.write(timer, timer.at);
      noted.set.push(timer);
      count += 1;
      areRowsChanged = true;
      if (inline.length + count > MAX_TIMERS) throw tooMany();
      continue;
    }
    inline = changeTimers(inline, effect, now);
    if (count === 0) continue;
    const { owner } = effect;
    const cancelled = store.timers.cancel(
      effect.type === "timer.cancel" ? { owner, id: effect.id } : { owner },
    );
    noted.drop.push(...cancelled);
    count -= cancelled.length;
    areRowsChanged ||= cancelled.length > 0;
  }
  return { inline, rows: areRowsChanged ? readRows(store, count) : timers.rows };
}

/** Takes out the timer that is firing. */
export function takeTimer(
  store: Store,
  timers: Timers,
  firing: Timer,
  noted: TimerRowChanges,
): Timers {
  const { inline, rows } = timers;
  const others = detach(
    inline.filter((timer) => timer !== firing),
    firing,
  );
  if (rows.count === 0) return { inline: others, rows };
  noted.detach.push(...store.timers.detach(firing).filter((key) => key !== firing.key));
  if (inline.includes(firing)) return { inline: others, rows: readRows(store, rows.count) };
  store.timers.delete(firing);
  noted.drop.push(firing.key);
  return { inline: others, rows: readRows(store, rows.count - 1) };
}

/** Puts timers in the places of those with the same keys: what is known of their tries is another now. */
export function replaceTimers(store: Store, timers: Timers, others: readonly Timer[]): Timers {
  if (others.length === 0) return timers;
  const { inline, rows } = timers;
  const byKey = new Map(others.map((timer) => [timer.key, timer]));
  const changed = inline.map((timer) => byKey.get(timer.key) ?? timer);
  for (const { key } of inline) byKey.delete(key);
  if (byKey.size === 0) return { inline: changed, rows };
  for (const timer of byKey.values()) writeTimer(store, timer);
  return { inline: changed, rows: readRows(store, rows.count) };
}

/** Those that the chart threw on, as far as they are in memory. */
export function stuckTimers({ inline, rows }: Timers): Timer[] {
  const known = new Map(
    [...inline, ...rows.next, ...rows.blocked].map((timer) => [timer.key, timer]),
  );
  return [...known.values()].filter(({ failures }) => failures !== undefined);
}

function writeTimer(store: Store, timer: Timer): void {
  const due = timerDue(timer);
  store.timers.write(timer, due === Infinity ? null : due);
}

function tooMany(): Unsupported {
  return new Unsupported(
    { machine: "of this instance" },
    `over ${MAX_TIMERS} timers would be set at once`,
    "Cancel those that are not needed, or let one timer stand for many.",
  );
}
