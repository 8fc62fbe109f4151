import { changesText } from "../kernel/changes.ts";
import { store as storedForm } from "../kernel/storing.ts";
import { timerChangesText } from "../kernel/timer-changes.ts";
import type { Live } from "./live.ts";
import { comparable, journalled, type Recorded } from "./recorder.ts";
import type { JournalRow, Store } from "./store.ts";

/** Milliseconds for which senders repeat what wasn't answered, and an hour more. */
const REPEATED_FOR = 25 * 3_600_000;

/** Whether the next commit begins the history again. */
export function isToBeginAgain({ workflow, machine, seq, deferred, held }: Live): boolean {
  // Events that wait refer to their entries.
  const isWaiting = deferred.length + held.length > 0;
  return seq >= workflow.continueAfter && machine.snapshot.status === "active" && !isWaiting;
}

/**
 * Continue-as-new: where the history has become as long as the workflow allows, it begins again in a
 * new epoch, its first entry the whole state. Must run inside the transaction of what made it so long.
 */
export function beginAgain(store: Store, live: Live, now: number): Recorded | null {
  if (!isToBeginAgain(live)) return null;
  const { identity, machine, timers, effects, head } = live;
  const { value } = machine.snapshot;
  const epoch = identity.epoch + 1;
  store.beginAgain(epoch, now - REPEATED_FOR);
  // Who goes back, or retries what has failed, may have to run them once more.
  const runs = journalled([...effects.values()]).filter(([, , , payload]) => payload !== undefined);
  store.archived.keepRuns(new Map(runs.map((run) => [run[0], run])));
  const entry: JournalRow = {
    seq: 1,
    at: now,
    type: "durachart.continued",
    data: JSON.stringify({ epoch: identity.epoch, seq: live.seq, ...(head && { head }) }),
    outcome: "applied",
    by: "durachart",
    state: JSON.stringify(value),
    changes: changesText(undefined, comparable(live), {
      actors: storedForm(machine).actors,
      timers: timerChangesText([], [...timers.inline, ...store.timers.all()]),
      effects: "",
    }),
  };
  const next = { ...identity, epoch };
  const first = store.record(entry, null, null, next, null);
  return { live: { ...live, identity: next, seq: 1, head: first }, entry, started: [] };
}
