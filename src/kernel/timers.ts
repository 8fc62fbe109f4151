import type { Effect, MachineEvent } from "./effects.ts";

/** A delayed event. `at` and `retryAt` are milliseconds since the epoch. */
export interface Timer {
  key: number;
  /** The actor that set it; it goes with it. */
  owner: number;
  /** The actor that gets the event. */
  target: number;
  /** What `cancel` calls it; the owner's own. */
  id: string;
  at: number;
  event: MachineEvent;
  /**
   * Out of `cancel`'s reach: another was set, or fired, under the same id. XState keeps one handle an
   * id, and both fire.
   */
  detached?: boolean;
  /** How often firing it threw, and when to try again; absent after that: blocked. */
  failures?: number;
  retryAt?: number;
  error?: string;
}

/** What a step changes in the timers. */
export type TimerEffect = Extract<
  Effect,
  { type: "timer.set" | "timer.cancel" | "timer.cancelAll" }
>;

export function isTimerEffect(effect: Effect): effect is TimerEffect {
  return effect.type.startsWith("timer.");
}

export function timerOf(effect: Extract<Effect, { type: "timer.set" }>, now: number): Timer {
  const { key, owner, target, id, delay, event } = effect;
  return { key, owner, target, id, at: now + delay, event };
}

/** The timers after an effect; the same list where it changes nothing. */
export function changeTimers(
  timers: readonly Timer[],
  effect: TimerEffect,
  now: number,
): readonly Timer[] {
  switch (effect.type) {
    case "timer.set":
      return [...detach(timers, effect), timerOf(effect, now)];
    case "timer.cancel":
      return timers.some((timer) => isHeld(timer, effect))
        ? timers.filter((timer) => !isHeld(timer, effect))
        : timers;
    case "timer.cancelAll":
      return timers.some((timer) => isOwned(timer, effect))
        ? timers.filter((timer) => !isOwned(timer, effect))
        : timers;
  }
}

/** The other timers of the same name once one is set or has fired: `cancel` finds them no more. */
export function detach(
  timers: readonly Timer[],
  of: { owner: number; id: string },
): readonly Timer[] {
  if (!timers.some((timer) => isHeld(timer, of))) return timers;
  return timers.map((timer) => (isHeld(timer, of) ? { ...timer, detached: true } : timer));
}

function isHeld(timer: Timer, { owner, id }: { owner: number; id: string }): boolean {
  return timer.owner === owner && timer.id === id && timer.detached !== true;
}

function isOwned(timer: Timer, { owner }: { owner: number }): boolean {
  return timer.owner === owner && timer.detached !== true;
}

/** When a timer has to be looked at next; `Infinity` for a blocked one. */
export function timerDue(timer: Timer): number {
  if (timer.failures === undefined) return timer.at;
  return timer.retryAt ?? Infinity;
}

/** The one that fires first: by its deadline, then in the order in which they were set. */
export function firstDue(timers: readonly Timer[], now: number): Timer | undefined {
  let found: Timer | undefined;
  for (const timer of timers) {
    if (timerDue(timer) > now) continue;
    if (found === undefined || isBefore(timer, found)) found = timer;
  }
  return found;
}

export function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.key < b.key);
}
