import type { JournalEntry, View } from "../../src/contract/view.ts";
import type { Listed } from "../../src/list/search.ts";
import type { Arrival } from "./mail.ts";

/** What the list says, beside what the instances say of themselves. */
export interface ListedSeen {
  listed: readonly Listed[];
  counts: { status: Record<string, number>; state: Record<string, number> };
  views: ReadonlyMap<string, View>;
}

/** Each says where the list and the instances differ; empty where the list tells the truth. */
export function checkList({ listed, counts, views }: ListedSeen): string[] {
  const violations = differences(listed, views);
  const rows = new Set(listed.map(({ id }) => id));
  if (rows.size !== listed.length) violations.push("The list has an instance twice");
  for (const id of rows) if (!views.has(id)) violations.push(`${id} is listed and isn't there`);
  const counted: Record<string, number> = {};
  for (const { status } of views.values()) counted[status] = (counted[status] ?? 0) + 1;
  const isCounted = JSON.stringify(counts.status) === JSON.stringify(counted);
  if (!isCounted) violations.push(`The list counts ${JSON.stringify(counts.status)}`);
  return violations;
}

/** Of these instances alone. */
export function differences(listed: readonly Listed[], views: ReadonlyMap<string, View>): string[] {
  const rows = new Map(listed.map((row) => [row.id, row]));
  return [...views].flatMap(([id, view]) => {
    const row = rows.get(id);
    if (row === undefined) return [`${id} is not in the list`];
    const [is, says] = [view, row].map(({ epoch, seq, status, state, incidents }) =>
      JSON.stringify([epoch, seq, status, state, incidents.length]),
    );
    return is === says ? [] : [`The list says ${says} of ${id}, which is ${is}`];
  });
}

export interface Lag {
  median: number;
  percentile99: number;
}

/**
 * How long after its commit each event was in the list, in milliseconds: itself, or something later of
 * its instance. Of events that no kill held up.
 */
export function lagOf(
  journals: ReadonlyMap<string, readonly JournalEntry[]>,
  arrivals: readonly Arrival[],
  kills: readonly { from: number; to: number }[],
): Lag {
  const byInstance = Map.groupBy(arrivals, ({ id }) => id);
  const lags: number[] = [];
  for (const [id, journal] of journals) {
    const known = (byInstance.get(id) ?? []).toSorted((a, b) => b.seq - a.seq);
    let earliest = Infinity;
    let next = 0;
    for (const { seq, at } of journal.toReversed()) {
      for (; next < known.length && known[next]!.seq >= seq; next++) {
        earliest = Math.min(earliest, known[next]!.at);
      }
      const from = Date.parse(at);
      const isDisturbed = kills.some((kill) => from <= kill.to + 2_000 && earliest >= kill.from);
      if (!isDisturbed) lags.push(earliest - from);
    }
  }
  lags.sort((a, b) => a - b);
  const at = (share: number): number => lags[Math.floor((lags.length - 1) * share)] ?? NaN;
  return { median: at(0.5), percentile99: at(0.99) };
}
