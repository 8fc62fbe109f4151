import { refusal } from "../contract/problem.ts";
import type { SendRequest } from "../contract/requests.ts";
import { MAX_DEFERRED } from "./deferral.ts";
import type { HeldRow } from "./held.ts";
import type { Live } from "./live.ts";
import { record, type Recorded } from "./recorder.ts";
import type { Store } from "./store.ts";

/**
 * Keeps an event as it came. Must run inside a transaction.
 *
 * @throws ProblemError too-many-deferred
 */
export function hold(store: Store, live: Live, request: SendRequest, now: number): Recorded {
  const { caller, event, hops = 0, dedupe = null } = request;
  const { type, data } = event;
  if (live.held.length >= MAX_DEFERRED) throw tooManyKept(live.identity, type);
  const text = data === undefined ? null : JSON.stringify(data);
  const row: HeldRow = { seq: live.seq + 1, at: now, type, data: text, caller, hops };
  store.held.add(row);
  const happening = { type, data, outcome: "deferred" as const, by: caller.subject, hops };
  const held = [...live.held, row];
  return record(store, { ...live, held }, happening, null, now, { key: dedupe });
}

export function tooManyKept({ workflow, id }: { workflow: string; id: string }, type: string) {
  return refusal(
    "too-many-deferred",
    `${workflow}/${id} keeps ${MAX_DEFERRED} events already. Send "${type}" again later.`,
  );
}
