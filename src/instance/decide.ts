import { canonical } from "../contract/canonical.ts";
import type { Origin } from "../contract/attributes.ts";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { FirstAnswer } from "../contract/view.ts";
import type { IncomingEvent, SendRequest } from "../contract/requests.ts";
import { roleOf, rulesOf } from "../kernel/access.ts";
import { guardsOf } from "../kernel/allowed.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { describe, step, type Step } from "../kernel/step.ts";
import { deferredEvent } from "./deferral.ts";
import type { Live } from "./live.ts";
import { record, type Happening, type Recorded } from "./recorder.ts";
import { mayBeSent, viewerOf, type Viewer } from "./sight.ts";
import type { JournalRow, Store } from "./store.ts";
import { allowedFor, deadlines } from "./view.ts";

/** What is to be recorded of an event; no step where the chart has no use for it. */
export interface Decision {
  happening: Happening;
  next: Step | null;
  /** Milliseconds for which it is to be kept. */
  deferFor?: number;
}

/** How long a deferred event is kept unless its definition says otherwise. */
const DEFER_FOR = 24 * 3_600_000;

/**
 * What an event from outside does, nothing written yet.
 *
 * @throws ProblemError forbidden, event-not-allowed
 * @throws StepFailed, Unsupported as the kernel's `step` does
 */
export function decide(
  live: Live,
  event: IncomingEvent,
  {
    caller,
    brokered = false,
    hops = 0,
    trace,
    attributes,
  }: Pick<SendRequest, "caller" | "brokered"> & Origin,
): Decision {
  const { workflow, machine, identity } = live;
  const { type, data } = event;
  const viewer = authorise(live, type, caller);
  const next = step(machine, data === undefined ? { type } : { type, data });
  const happening = { type, data, by: caller.subject, hops, trace, attributes };
  if (next.taken) return { happening: { ...happening, outcome: "applied" }, next };
  const { otherwise = brokered ? "defer" : "reject" } = workflow.events?.[type] ?? {};
  if (otherwise === "ignore")
    return { happening: { ...happening, outcome: "ignored" }, next: null };
  // What has come to its end will never have a use for it.
  if (otherwise === "defer" && machine.snapshot.status === "active") {
    const kept = { ...happening, outcome: "deferred" as const };
    return { happening: kept, next: null, deferFor: deferFor(workflow, type) };
  }
  const allowed = allowedFor(live, viewer);
  const guards = guardsOf(machine.snapshot._nodes, type);
  const why =
    guards.length === 0
      ? `does not take "${type}"`
      : `takes "${type}" only if ${guards.join(" or ")}, and it is not so`;
  const names = allowed.filter(({ guard }) => guard !== "fails").map((event) => event.type);
  const about = `${identity.workflow}/${identity.id}`;
  const { status } = machine.snapshot;
  const said =
    status === "active"
      ? `${about} is in ${describe(machine.snapshot)}, which ${why}.`
      : `${about} has come to its end (${status}) and takes no events.`;
  throw refusal("event-not-allowed", `${said} Allowed now: ${names.join(", ") || "none"}.`, {
    allowed,
    timers: deadlines(live),
    state: machine.snapshot.value,
  });
}

/** How long an event is kept where it is deferred, in milliseconds. */
export function deferFor(workflow: RegisteredWorkflow, type: string): number {
  return Math.ceil(workflow.events?.[type]?.deferFor ?? DEFER_FOR);
}

/** Writes what was decided. Must run inside a transaction. */
export function recordDecision(
  store: Store,
  live: Live,
  { happening, next, deferFor: keepFor }: Decision,
  now: number,
  key: string | null,
): Recorded {
  if (keepFor === undefined) return record(store, live, happening, next, now, { key });
  const row = deferredEvent(live, happening, now + keepFor);
  store.deferred.insert(row);
  return record(store, live, happening, null, now, { key, deferred: [...live.deferred, row] });
}

/** @throws ProblemError forbidden; not-found where for the caller there is no such instance */
export function authorise(live: Live, type: string, caller: Caller): Viewer {
  const viewer = viewerOf(live, caller);
  if (mayBeSent(live, type, viewer)) return viewer;
  const rules = rulesOf(live.workflow.events, type);
  const { roles } = viewer.sight;
  const why = rules.some((rule) => roles.has(roleOf(rule)))
    ? `you may not send "${type}" to this one as it is.`
    : `"${type}" is for ${[...rules.map(roleOf), "operator"].join(" or ")}; you are ${caller.roles.join(", ") || "nobody"}.`;
  const { workflow, id } = live.identity;
  throw refusal("forbidden", `${workflow}/${id}: ${why}`);
}

/**
 * What became of the event that came with this key before.
 *
 * @param forms the event as it came now, and as the schema made it: an event that was held is
 *   journalled as it came
 * @throws ProblemError key-reused
 */
export function firstAnswer(
  store: Store,
  key: string,
  forms: readonly IncomingEvent[],
): FirstAnswer | undefined {
  const known = store.taken(key);
  if (known === undefined) return undefined;
  const { seq, epoch, entry, outcome } = known;
  // The history has begun again since: all that is left to tell is that it was taken.
  if (outcome === undefined) return { outcome: "applied", seq, epoch };
  // Nor is an archived event fetched to be compared.
  if (entry === undefined || forms.some((event) => isSameEvent(entry, event))) {
    return { outcome, seq };
  }
  throw refusal(
    "key-reused",
    `The idempotency key came before with another event (seq ${seq}). Use a new key for a new event.`,
  );
}

/** Whether the event that came with a key before is this one. */
function isSameEvent(
  { type, data }: Pick<JournalRow, "type" | "data">,
  event: IncomingEvent,
): boolean {
  // As it was stored: a schema may have made of the data what JSON writes differently.
  const stored = (text: string | undefined | null): string => canonical(JSON.parse(text ?? "null"));
  return type === event.type && stored(data) === stored(JSON.stringify(event.data));
}
