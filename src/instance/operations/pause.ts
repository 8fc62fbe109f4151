import { isRunning, type Paused } from "../live.ts";
import { keep, record } from "../recorder.ts";
import { NOTHING_TO_DO, notPossible, operated, type Done, type Operating } from "./operating.ts";

/** From now on events are kept and nothing fires; what was asked for before goes on. */
export function pause(around: Operating): Done {
  const { live, caller, now } = around;
  if (!isRunning(live))
    throw notPossible(around, "has come to its end: there is nothing to pause.");
  if (live.paused !== null) return NOTHING_TO_DO;
  return hold(around, "paused", { at: now, by: caller.subject });
}

/** What came or fell due meanwhile happens now, in the order of its times. */
export function resume(around: Operating): Done {
  const { processor, live, now } = around;
  if (live.paused === null) return NOTHING_TO_DO;
  const done = hold(around, "resumed", null);
  processor.fireTimers(now);
  processor.inner.takeDeferred(now);
  return done;
}

function hold(around: Operating, type: string, paused: Paused | null): Done {
  const { processor, live, now } = around;
  const { store } = processor.transactions;
  processor.transactions.commit(() => {
    const recorded = record(store, { ...live, paused }, operated(around, type), null, now);
    keep(store, recorded.live);
    return [recorded];
  });
  return { changed: true };
}
