import { step, type Step } from "../kernel/step.ts";
import type { Live } from "./live.ts";
import { record, type Happening, type Recorded } from "./recorder.ts";
import type { DeferredRow } from "./deferred-table.ts";
import type { Store } from "./store.ts";

/** Deferred events that an instance keeps. */
export const MAX_DEFERRED = 100;

/** The row of an event that is about to be journalled as deferred. */
export function deferredEvent(
  live: Live,
  { type, data, by, hops }: Happening,
  until: number,
): DeferredRow {
  const text = data === undefined ? null : JSON.stringify(data);
  return { seq: live.seq + 1, type, data: text, by, hops, until };
}

/**
 * The first deferred event that the state takes, and how to record it; null where it takes none.
 *
 * @param except by their seq: not to be tried
 * @throws what the step or recording it throws as `cause`, with the event's `seq`
 */
export function takeDeferred(
  live: Live,
  except: ReadonlySet<number>,
): { row: DeferredRow; next: Step; record(store: Store, now: number): Recorded } | null {
  for (const row of live.deferred) {
    if (except.has(row.seq)) continue;
    const next = naming(row, () => step(live.machine, eventOf(row)));
    if (!next.taken) continue;
    return {
      ...{ row, next },
      record: (store, now) => naming(row, () => takeOut(store, live, row, "applied", next, now)),
    };
  }
  return null;
}

/** What fails with a deferred event says with which. */
function naming<Result>({ seq }: DeferredRow, act: () => Result): Result {
  try {
    return act();
  } catch (cause) {
    throw Object.assign(new Error("A deferred event failed", { cause }), { seq });
  }
}

/** An event that the chart had no use for in its time. */
export function fileLate(store: Store, live: Live, row: DeferredRow, now: number): Recorded {
  return takeOut(store, live, row, "late", null, now);
}

function takeOut(
  store: Store,
  live: Live,
  row: DeferredRow,
  outcome: "applied" | "late",
  next: Step | null,
  now: number,
): Recorded {
  store.deferred.delete(row.seq);
  const deferred = live.deferred.filter((other) => other !== row);
  const { by, hops } = row;
  const happening = { ...eventOf(row), outcome, by, hops, ...store.originOf(row.seq) };
  return record(store, live, happening, next, now, { deferred });
}

export function eventOf({ type, data }: DeferredRow): { type: string; data?: unknown } {
  return data === null ? { type } : { type, data: JSON.parse(data) as unknown };
}
