import type { Source } from "../broadcast/watchers.ts";
import type { Live } from "./live.ts";
import type { Processor } from "./processor.ts";
import { sightNow } from "./sight.ts";
import type { JournalRow, Store } from "./store.ts";
import { entryFor } from "./view.ts";

/**
 * The journal as watchers read it, each what is theirs to see.
 *
 * @param fresh entries that were just written: who is up to date needs no others
 */
export function watched(
  { processor, store }: { processor: Processor; store: Store },
  live: Live,
  fresh: readonly JournalRow[] = [],
): Source {
  const { workflow, id, epoch } = live.identity;
  return {
    subject: { workflow, id },
    epoch,
    head: live.seq,
    read: (after, limit, caller) => {
      const sight = sightNow(live, caller);
      if (sight === null) return null;
      const viewer = { caller, sight };
      // Of an epoch that is over nothing but what was just written is left.
      const isOver = processor.current()?.identity.epoch !== epoch;
      const isUpToDate = fresh[0]?.seq === after + 1;
      const rows = isUpToDate ? fresh : isOver ? [] : store.journal(after, limit);
      return rows.map((row) => entryFor(live, live.workflow, row, viewer));
    },
  };
}
