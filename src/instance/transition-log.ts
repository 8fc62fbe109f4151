import { log } from "../contract/log.ts";
import type { JournalledChanges } from "../kernel/moment.ts";
import type { Live } from "./live.ts";
import type { JournalRow } from "./store.ts";

/** Each entry as a line of the log; what the event carries stays in the journal. */
export function logTransitions({ identity }: Live, entries: readonly JournalRow[]): void {
  const { tenant, workflow, id, epoch } = identity;
  for (const { seq, type, outcome, by, state, changes } of entries) {
    const { attributes } = JSON.parse(changes) as JournalledChanges;
    log.info("transition", {
      ...{ tenant, workflow, instance: id, epoch, seq, event: type, outcome, by },
      state: JSON.parse(state) as unknown,
      trace: attributes?.["traceparent"] as string | undefined,
    });
  }
}
