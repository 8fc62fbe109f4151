import { canonical } from "../contract/canonical.ts";
import { isOperator, type Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { IncomingEvent } from "../contract/requests.ts";
import { guardsOf } from "../kernel/allowed.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { describe, step, type Step } from "../kernel/step.ts";
import type { Live } from "./live.ts";
import type { Happening } from "./recorder.ts";
import type { JournalRow } from "./store.ts";
import { allowedFor } from "./view.ts";

/** What is to be recorded of an event; no step where it is ignored. */
export interface Decision {
  happening: Happening;
  next: Step | null;
}

/**
 * What an event from outside does, nothing written yet.
 *
 * @throws ProblemError forbidden, event-not-allowed
 * @throws StepFailed, Unsupported as the kernel's `step` does
 */
export function decide(live: Live, event: IncomingEvent, caller: Caller): Decision {
  const { workflow, machine, identity } = live;
  const { type, data } = event;
  authorise(workflow, type, caller);
  const next = step(workflow.machine, machine, data === undefined ? { type } : { type, data });
  const happening = { type, data, by: caller.subject };
  if (next.taken) return { happening: { ...happening, outcome: "applied" }, next };
  if (workflow.events?.[type]?.otherwise === "ignore") {
    return { happening: { ...happening, outcome: "ignored" }, next: null };
  }
  const allowed = allowedFor(live, caller);
  const guards = guardsOf(machine.snapshot._nodes, type);
  const why =
    guards.length === 0
      ? `does not take "${type}"`
      : `takes "${type}" only if ${guards.join(" or ")}, and it is not so`;
  const names = allowed.map((possible) => possible.type).join(", ") || "none";
  throw refusal(
    "event-not-allowed",
    `${identity.workflow}/${identity.id} is in ${describe(machine.snapshot)}, which ${why}. Allowed now: ${names}.`,
    { allowed, state: machine.snapshot.value },
  );
}

function authorise(workflow: RegisteredWorkflow, type: string, caller: Caller): void {
  if (isOperator(caller)) return;
  const from = workflow.events?.[type]?.from ?? [];
  if (caller.roles.some((role) => from.includes(role))) return;
  throw refusal(
    "forbidden",
    `"${type}" is for ${[...from, "operator"].join(" or ")}; you are ${caller.roles.join(", ") || "nobody"}.`,
  );
}

/** Whether the event that came with a key before is this one. */
export function isSameEvent({ type, data }: JournalRow, event: IncomingEvent): boolean {
  // As it was stored: a schema may have made of the data what JSON writes differently.
  const stored = (text: string | undefined | null): string => canonical(JSON.parse(text ?? "null"));
  return type === event.type && stored(data) === stored(JSON.stringify(event.data));
}
