/**
 * What a transition asks for, as plain data. `key` is a number that is never given out twice in an
 * instance's life: it names one run of an actor, or one outgoing message, for ever.
 */
export type Effect =
  | { type: "timer.set"; id: string; delay: number; event: MachineEvent }
  | { type: "timer.cancel"; id: string }
  | { type: "actor.start"; key: number; id: string; src: string; input: unknown }
  | { type: "actor.stop"; key: number }
  | { type: "command"; key: number; name: string; params: unknown }
  | { type: "emit"; key: number; event: MachineEvent }
  | { type: "log"; message: string };

/** An event as the machine sees it. */
export interface MachineEvent {
  type: string;
  [property: string]: unknown;
}

/** A delayed event. `at` and `retryAt` are milliseconds since the epoch. */
export interface Timer {
  id: string;
  at: number;
  event: MachineEvent;
  /** How often firing it threw, and when to try again; absent after that: blocked. */
  failures?: number;
  retryAt?: number;
  error?: string;
}

/**
 * The timers after a step: cancelled ones gone, new ones added, none left behind by an instance that
 * has come to its end. XState does not purge delayed raises at a final state; we do.
 */
export function nextTimers(
  timers: readonly Timer[],
  effects: readonly Effect[],
  now: number,
  isActive: boolean,
): readonly Timer[] {
  if (!isActive) return [];
  let next = timers;
  for (const effect of effects) {
    if (effect.type === "timer.cancel") next = next.filter((timer) => timer.id !== effect.id);
    if (effect.type === "timer.set") {
      next = [...next, { id: effect.id, at: now + effect.delay, event: effect.event }];
    }
  }
  return next;
}

/** When a timer has to be looked at next; `Infinity` for a blocked one. */
export function timerDue(timer: Timer): number {
  if (timer.failures === undefined) return timer.at;
  return timer.retryAt ?? Infinity;
}
