import { isOperator, type Caller } from "../contract/caller.ts";
import type { AllowedEvent, Changes, Incident, JournalEntry, View } from "../contract/view.ts";
import { possibleEvents, type PossibleEvent } from "../kernel/allowed.ts";
import type { Live } from "./live.ts";
import type { JournalRow } from "./store.ts";

export function viewOf(live: Live, caller: Caller): View {
  const { identity, workflow, machine, timers } = live;
  const { snapshot } = machine;
  const message = innermostMessage(live);
  return {
    id: identity.id,
    workflow: workflow.key,
    version: identity.version,
    status: snapshot.status,
    state: snapshot.value,
    ...(message === undefined ? {} : { message }),
    context: snapshot.context as Record<string, unknown>,
    tags: [...snapshot.tags],
    epoch: identity.epoch,
    seq: live.seq,
    allowed: allowedFor(live, caller),
    timers: timers.map(({ event, at }) => ({ event: event.type, due: iso(at) })),
    incidents: incidentsOf(live),
    createdAt: iso(identity.createdAt),
    updatedAt: iso(live.updatedAt),
    ...(snapshot.output === undefined ? {} : { output: snapshot.output as unknown }),
    ...(snapshot.error === undefined ? {} : { error: snapshot.error }),
  };
}

/** What the caller may do now; nobody is shown what only others may. */
export function allowedFor({ workflow, machine }: Live, caller: Caller): AllowedEvent[] {
  const possible = possibleIn(machine.snapshot);
  if (isOperator(caller)) return possible;
  return possible.filter(({ type }) =>
    workflow.events?.[type]?.from?.some((role) => caller.roles.includes(role)),
  );
}

export function journalEntry(live: Pick<Live, "identity">, row: JournalRow): JournalEntry {
  return {
    epoch: live.identity.epoch,
    seq: row.seq,
    at: iso(row.at),
    event: {
      type: row.type,
      ...(row.data === null ? {} : { data: JSON.parse(row.data) as unknown }),
    },
    outcome: row.outcome,
    by: row.by,
    state: JSON.parse(row.state) as View["state"],
    changes: JSON.parse(row.changes) as Changes,
  };
}

type Snapshot = Live["machine"]["snapshot"];

/** The same nodes always allow the same types: worked out once for each configuration of a chart. */
const possibleCache = new WeakMap<object, PossibleEvent[]>();

function possibleIn(snapshot: Snapshot): PossibleEvent[] {
  if (snapshot.status !== "active") return [];
  let possible = possibleCache.get(snapshot._nodes);
  if (possible === undefined) {
    possible = possibleEvents(snapshot);
    possibleCache.set(snapshot._nodes, possible);
  }
  return possible;
}

function innermostMessage({ machine }: Live): string | undefined {
  let innermost: { depth: number; message: string } | undefined;
  for (const node of machine.snapshot._nodes) {
    const message = (node.meta as { message?: unknown } | undefined)?.message;
    if (typeof message !== "string") continue;
    if (innermost === undefined || node.path.length > innermost.depth) {
      innermost = { depth: node.path.length, message };
    }
  }
  return innermost?.message;
}

function incidentsOf({ timers, effects }: Live): Incident[] {
  const blockedTimers = timers.filter(
    (timer) => timer.failures !== undefined && timer.retryAt === undefined,
  );
  const stuck = [...effects.values()].filter((effect) => effect.due === null);
  return [
    ...blockedTimers.map((timer) => ({
      kind: "blocked" as const,
      what: `timer ${timer.id}`,
      error: timer.error ?? "",
    })),
    ...stuck.map((effect) => ({
      kind: effect.kind === "actor" ? ("blocked" as const) : ("exhausted" as const),
      what: `${effect.kind} ${effect.name}`,
      error: effect.error ?? "",
    })),
  ];
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
