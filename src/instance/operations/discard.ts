import { isRun } from "../effect-rows.ts";
import { bookEffects, record } from "../recorder.ts";
import { notPossible, operated, type Done, type Operating } from "./operating.ts";

/** Gives a parked message up for good; the journal keeps that it was. */
export function discard(around: Operating, incident: string): Done {
  const { processor, live, now } = around;
  const row = [...live.effects.values()].find(({ key }) => `effect:${key}` === incident);
  if (row?.status !== "parked" || row.result !== null || isRun(row)) {
    throw notPossible(around, `has no parked message "${incident}". Look at its incidents again.`);
  }
  const { store } = processor.transactions;
  const what = `${row.kind} ${row.name}`;
  processor.transactions.commit(() => {
    const happening = operated(around, "discarded", { incident, what });
    const recorded = record(store, live, happening, null, now);
    const booked = bookEffects(store, recorded.live, { remove: [row.key] }, now);
    return [
      {
        live: { ...recorded.live, effects: booked.effects },
        entry: recorded.entry,
        started: [...recorded.started, ...booked.started],
      },
    ];
  });
  return { changed: true, incident, what };
}
