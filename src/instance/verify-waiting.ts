import type { Chain } from "../audit/chain.ts";
import type { Store } from "./store.ts";

/** Events that wait have an entry each: what will happen must be what came. */
export function verifyWaiting(store: Store, chain: Chain): void {
  const waiting = [
    ...store.deferred.all().map((row) => ({ ...row, kind: "deferred" })),
    ...store.held
      .all()
      .map((row) => ({ ...row, by: row.caller.subject.toWellFormed(), kind: "held" })),
  ];
  for (const { seq, type, data, by, kind } of waiting) {
    // Archived, it was compared while it stood here.
    if (seq <= store.archived.through()) continue;
    const [entry] = store.journal(seq - 1, 1);
    const isSame =
      entry?.seq === seq && entry.type === type && entry.data === data && entry.by === by;
    if (isSame && entry.outcome === "deferred") continue;
    chain.find(seq, "state", `The ${kind} event of entry ${seq} is not the one that came.`);
  }
}
