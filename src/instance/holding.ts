import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { SendRequest } from "../contract/requests.ts";
import type { FirstAnswer, Outcome } from "../contract/view.ts";
import { roleOf, rulesOf, type Sight } from "../kernel/access.ts";
import { firstAnswer } from "./decide.ts";
import { MAX_DEFERRED } from "./deferral.ts";
import type { HeldRow } from "./held.ts";
import type { Live } from "./live.ts";
import { record, type Recorded } from "./recorder.ts";
import { viewerOfStored } from "./sight.ts";
import type { Store } from "./store.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Transactions } from "./transactions.ts";

/** Milliseconds until it is looked whether the instance can be run again. */
const UNTIL_LOOKED_AT = 600_000;

/**
 * Keeps an event as it came. Must run inside a transaction.
 *
 * @throws ProblemError too-many-deferred
 */
export function hold(store: Store, live: Live, request: SendRequest, now: number): Recorded {
  const { caller, event, hops = 0, trace, attributes, dedupe = null } = request;
  const { type, data } = event;
  if (live.held.length >= MAX_DEFERRED) throw tooManyKept(live.identity, type);
  const text = data === undefined ? null : JSON.stringify(data);
  const row: HeldRow = { seq: live.seq + 1, at: now, type, data: text, caller, hops };
  store.held.add(row);
  const sender = { by: caller.subject, credential: caller.credential };
  const happening = {
    type,
    data,
    outcome: "deferred" as const,
    ...sender,
    hops,
    trace,
    attributes,
  };
  const held = [...live.held, row];
  return record(store, { ...live, held }, happening, null, now, { key: dedupe });
}

export function tooManyKept({ workflow, id }: { workflow: string; id: string }, type: string) {
  return refusal(
    "too-many-deferred",
    `${workflow}/${id} keeps ${MAX_DEFERRED} events already. Send "${type}" again later.`,
  );
}

/**
 * Keeps an event for an instance that the deployment can't run: what is stored of its state stays as it
 * is, and nobody can say yet whether the event is good.
 *
 * @throws ProblemError too-many-deferred, key-reused
 */
export function holdUnseen(
  transactions: Transactions,
  request: SendRequest,
  now: number,
): { outcome: Outcome; first?: FirstAnswer } {
  const { store } = transactions;
  const { caller, hops = 0, dedupe = null } = request;
  const identity = store.identity();
  const workflow = transactions.workflows.get(identity.workflow);
  const taken =
    workflow === undefined ? undefined : store.secrets.take(workflow, identity, request.event);
  const { event, forms, keep } = taken ?? { ...request, forms: [request.event], keep: () => {} };
  const { type, data } = event;
  const known = dedupe === null ? undefined : firstAnswer(store, dedupe, forms);
  if (known !== undefined) return { outcome: "duplicate", first: known };
  const { sight } = viewerOfStored(store, transactions.workflows, caller);
  checkMayBeSent(workflow, type, { caller, sight });
  if (store.held.all().length >= MAX_DEFERRED) throw tooManyKept(identity, type);
  const { seq: last, head, body } = store.state();
  const { machine } = JSON.parse(body) as { machine: { value: unknown } };
  const text = data === undefined ? null : JSON.stringify(data);
  const seq = last + 1;
  transactions.transact(() => {
    keep();
    store.held.add({ seq, at: now, type, data: text, caller, hops });
    const what = { type, data: text, outcome: "deferred" as const, by: caller.subject };
    const state = JSON.stringify(machine.value);
    const { attributes } = request;
    const changes = JSON.stringify({ attributes, credential: caller.credential });
    store.record({ seq, at: now, ...what, state, changes }, null, dedupe, identity, head);
    // The deployment that can run it will not come by to say so.
    transactions.wakeAt(now + UNTIL_LOOKED_AT);
  });
  return { outcome: "deferred" };
}

/** Nobody fills an instance's places with what no version of its workflow takes from them. */
function checkMayBeSent(
  workflow: RegisteredWorkflow | undefined,
  type: string,
  { caller, sight }: { caller: Caller; sight: Sight },
): void {
  if (sight.operator || workflow === undefined) return;
  const versions = [...workflow.versions.values()];
  // What rules say of the instance is asked when it can be looked at.
  const isTaken = versions.some(({ events }) =>
    rulesOf(events, type).some((rule) => sight.roles.has(roleOf(rule))),
  );
  if (!isTaken) throw refusal("forbidden", `"${type}" is not for ${caller.roles.join(", ")}.`);
}
