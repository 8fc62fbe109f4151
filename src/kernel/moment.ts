import type { Attributes } from "../contract/attributes.ts";
import type { Changes } from "../contract/view.ts";
import type { MachineState } from "./step.ts";
import { machineText, store } from "./storing.ts";
import type { StoredActor, StoredRest, StoredState } from "./stored.ts";
import { changeTimersBy, type TimerChanges } from "./timer-changes.ts";
import type { Timer } from "./timers.ts";

/** An instance's state at some point of its history, as plain data: put together, never run again. */
export interface Moment {
  machine: StoredState;
  /** Child machines and transition logics, in the order of their keys. */
  actors: StoredActor[];
  timers: Timer[];
}

/** A state as plain data, which shares nothing with it. */
export function momentOf(state: MachineState, timers: readonly Timer[]): Moment {
  const { actors, ...parts } = store(state);
  const rows = [...actors.values()].map((text) => JSON.parse(text!) as StoredActor);
  return {
    machine: JSON.parse(machineText(parts)) as StoredState,
    actors: rows.toSorted((a, b) => a.key - b.key),
    timers: JSON.parse(JSON.stringify(timers)) as Timer[],
  };
}

/** As much of a journal entry as tells what it has changed. */
export interface Delta {
  /** JSON of the state's value after it. */
  state: string;
  /** JSON of `JournalledChanges`. */
  changes: string;
}

/** What the journal keeps of an event: what callers are shown, and what only we need. */
export interface JournalledChanges extends Changes {
  /** The event's own. */
  attributes?: Attributes;
  /** What its sender proved itself by. */
  credential?: string;
  /** Of the whole entry, and what makes it follow the one before. */
  seal?: string;
  inner?: {
    nextKey?: number;
    rest?: StoredRest;
    timers?: TimerChanges;
    effects?: JournalledEffect[];
  };
}

/** What was asked for: key, kind, name, and the payload where it could have to be asked for again. */
export type JournalledEffect = [key: number, kind: string, name: string, payload?: unknown];

/**
 * The moment after some entries.
 *
 * @param from null where the entries begin with the first of the history
 * @returns null where the entries were written by a deployment that kept too little
 */
export function momentAfter(from: Moment | null, entries: readonly Delta[]): Moment | null {
  const context = new Map(Object.entries(from?.machine.context ?? {}));
  const actors = new Map((from?.actors ?? []).map((actor) => [actor.key, actor]));
  const timers = new Map((from?.timers ?? []).map((timer) => [timer.key, timer]));
  let status = from?.machine.status;
  let nextKey = from?.machine.nextKey;
  let rest: StoredRest | undefined = from?.machine;
  for (const { changes: text } of entries) {
    if (text === "{}") continue;
    const { inner, ...changes } = JSON.parse(text) as JournalledChanges;
    status = changes.status ?? status;
    // What has come to its end keeps none.
    if (status !== "active") timers.clear();
    for (const key of changes.context?.unset ?? []) context.delete(key);
    for (const [key, value] of Object.entries(changes.context?.set ?? {})) context.set(key, value);
    for (const [key, actor] of Object.entries(changes.actors ?? {})) {
      if (actor === null) actors.delete(Number(key));
      else actors.set(Number(key), actor as StoredActor);
    }
    nextKey = inner?.nextKey ?? nextKey;
    rest = inner?.rest ?? rest;
    if (inner?.timers !== undefined) changeTimersBy(timers, inner.timers);
  }
  if (status === undefined || nextKey === undefined || rest === undefined) return null;
  const last = entries.at(-1);
  const value = last === undefined ? from!.machine.value : (JSON.parse(last.state) as never);
  const { children, output, error, displaced, historyValue } = rest;
  return {
    machine: {
      ...{ value, status, nextKey, children, context: Object.fromEntries(context) },
      ...(output === undefined ? {} : { output }),
      ...(error === undefined ? {} : { error }),
      ...(displaced === undefined ? {} : { displaced }),
      ...(historyValue === undefined ? {} : { historyValue }),
    },
    actors: [...actors.values()].toSorted((a, b) => a.key - b.key),
    timers: [...timers.values()].toSorted((a, b) => a.key - b.key),
  };
}
