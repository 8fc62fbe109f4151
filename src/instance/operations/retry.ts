import type { Live } from "../live.ts";
import { keep, record, bookEffects } from "../recorder.ts";
import type { EffectRow } from "../effect-table.ts";
import { replaceTimers, stuckTimers } from "../timer-book.ts";
import type { Timer } from "../../kernel/timers.ts";
import { NOTHING_TO_DO, notPossible, operated, type Done, type Operating } from "./operating.ts";
import { goBack } from "./rewind.ts";

/**
 * Tries again, now: what is stuck, and what waits for its next try. An instance that ended in an error
 * goes on from the state before it.
 */
export function retry(around: Operating, incident: string | undefined): Done {
  const { processor, live, now } = around;
  if (live.machine.snapshot.status === "error" && incident === undefined) return restart(around);
  const isWanted = (id: string): boolean => incident === undefined || id === incident;
  const effects = [...live.effects.values()].filter(
    (row) => isWanted(`effect:${row.key}`) && isStuck(row),
  );
  const timers = stuckTimers(live.timers).filter(({ key }) => isWanted(`timer:${key}`));
  const events = [...processor.inner.failedEvents.keys()].filter((seq) => isWanted(`event:${seq}`));
  const retried = [
    ...effects.map(({ key }) => `effect:${key}`),
    ...timers.map(({ key }) => `timer:${key}`),
    ...events.map((seq) => `event:${seq}`),
  ];
  if (retried.length === 0) {
    if (incident === undefined) return NOTHING_TO_DO;
    throw notPossible(around, `has no incident "${incident}". Look at its incidents again.`);
  }
  const { store } = processor.transactions;
  processor.transactions.commit(() => {
    const again = { ...live, timers: replaceTimers(store, live.timers, timers.map(untried)) };
    const happening = operated(around, "retried", { incidents: retried });
    const recorded = record(store, again, happening, null, now);
    if (timers.length > 0) keep(store, recorded.live);
    const put = effects.map((row) => untriedEffect(row, now));
    const booked = bookEffects(store, recorded.live, { put }, now);
    return [
      {
        live: { ...recorded.live, effects: booked.effects } satisfies Live,
        entry: recorded.entry,
        started: [...recorded.started, ...booked.started],
      },
    ];
  });
  processor.inner.failedEvents.clear();
  processor.fireTimers(now);
  processor.inner.takeDeferred(now);
  return { changed: true, incidents: retried };
}

/** Back to the state before the error; what ran in it runs again. */
function restart(around: Operating): Done {
  const { processor, live } = around;
  const failed = processor.transactions.store.search.lastFailure();
  if (failed === null) throw notPossible(around, "has no entry of its failure any more.");
  const done = goBack(around, { to: failed - 1 }, "retried");
  return { ...done, incidents: ["error"], from: live.seq };
}

/** What has failed so far, whether it is to be tried again or not. */
function isStuck({ status, error }: EffectRow): boolean {
  return status === "parked" || (error !== null && (status === "waiting" || status === "settling"));
}

/** With all its tries before it. */
function untriedEffect(row: EffectRow, now: number): EffectRow {
  const status = row.result === null ? "waiting" : "settling";
  return { ...row, status, attempt: 0, due: now, createdAt: now };
}

function untried({ failures: _, retryAt: __, error: ___, ...timer }: Timer): Timer {
  return timer;
}
