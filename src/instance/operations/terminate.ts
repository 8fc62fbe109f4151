import { halt } from "../../kernel/step.ts";
import { isRunning } from "../live.ts";
import { record } from "../recorder.ts";
import { NOTHING_TO_DO, notPossible, operated, type Done, type Operating } from "./operating.ts";

/**
 * Ends the instance at once: no transition is taken and nothing is compensated. Its actors are stopped
 * and its timers gone; messages that were asked for before still leave.
 */
export function terminate(around: Operating): Done {
  const { processor, live, now } = around;
  if (live.machine.snapshot.status === "stopped") return NOTHING_TO_DO;
  if (!isRunning(live)) throw notPossible(around, "has come to its end by itself.");
  const { store } = processor.transactions;
  processor.transactions.commit(() => {
    const freed = { ...live, paused: null };
    return [record(store, freed, operated(around, "terminated"), halt(live.machine), now)];
  });
  // What was kept for later is filed.
  processor.fireTimers(now);
  processor.inner.takeDeferred(now);
  return { changed: true };
}
