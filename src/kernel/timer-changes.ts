import type { MachineEvent } from "./effects.ts";
import type { Timer } from "./timers.ts";

/** What an event has changed in the timers, as the journal keeps it. */
export interface TimerChanges {
  set?: PackedTimer[];
  /** Keys of those that `cancel` doesn't reach any more. */
  detach?: number[];
  /** Keys of those that have fired or were cancelled. */
  drop?: number[];
}

/** A timer without what most have in common: its own machine's, named as its event, which carries nothing. */
interface PackedTimer {
  key: number;
  at: number;
  owner?: number;
  target?: number;
  id?: string;
  event: string | MachineEvent;
  detached?: true;
}

/** Gathers what one transaction changes in timers that have rows of their own. */
export class TimerRowChanges {
  readonly set: Timer[] = [];
  readonly detach: number[] = [];
  readonly drop: number[] = [];
}

/** JSON of the `TimerChanges` from one list to the next, and in the rows; empty where there are none. */
export function timerChangesText(
  before: readonly Timer[],
  after: readonly Timer[],
  rows?: TimerRowChanges,
): string {
  if (before === after && rows === undefined) return "";
  const set = [...(rows?.set ?? [])];
  const detach = [...(rows?.detach ?? [])];
  const drop = [...(rows?.drop ?? [])];
  for (const timer of after) {
    if (before.includes(timer)) continue;
    const isKnown = before.some(({ key }) => key === timer.key);
    if (!isKnown) set.push(timer);
    else if (timer.detached === true) detach.push(timer.key);
  }
  for (const { key } of before) if (!after.some((timer) => timer.key === key)) drop.push(key);
  if (set.length + detach.length + drop.length === 0) return "";
  const changes: TimerChanges = {
    ...(set.length === 0 ? {} : { set: set.map(pack) }),
    ...(detach.length === 0 ? {} : { detach }),
    ...(drop.length === 0 ? {} : { drop }),
  };
  return JSON.stringify(changes);
}

/** Carries changes out. What one step sets, it may detach or drop as well. */
export function changeTimersBy(timers: Map<number, Timer>, changes: TimerChanges): void {
  for (const packed of changes.set ?? []) timers.set(packed.key, unpack(packed));
  for (const key of changes.detach ?? []) {
    const timer = timers.get(key);
    if (timer !== undefined) timers.set(key, { ...timer, detached: true });
  }
  for (const key of changes.drop ?? []) timers.delete(key);
}

function pack({ key, at, owner, target, id, event, detached }: Timer): PackedTimer {
  const isBare = Object.keys(event).length === 1;
  return {
    key,
    at,
    ...(owner === 0 ? {} : { owner }),
    ...(target === 0 ? {} : { target }),
    ...(id === event.type ? {} : { id }),
    event: isBare ? event.type : event,
    ...(detached === true ? { detached } : {}),
  };
}

function unpack({ key, at, owner = 0, target = 0, id, event, detached }: PackedTimer): Timer {
  const whole = typeof event === "string" ? { type: event } : event;
  return {
    ...{ key, at, owner, target, id: id ?? whole.type, event: whole },
    ...(detached === true ? { detached } : {}),
  };
}
