import type { Incident, View } from "../contract/view.ts";
import type { Sight } from "../kernel/access.ts";
import type { Quarantined } from "../kernel/errors.ts";
import { readStored } from "./live.ts";
import type { Scheduled } from "./schedule.ts";
import { shownIncidents, shownMembers } from "./shown.ts";
import { parentLink, type Store } from "./store.ts";
import { mending } from "./incidents.ts";
import { iso } from "./view.ts";

/** An instance that is yet to begin: it has no state. */
export function scheduledView(scheduled: Scheduled, sight: Sight, more: object = {}): string {
  const { request, version, createdAt, startAt } = scheduled;
  const { id, workflow } = request.address;
  return JSON.stringify({
    ...{ id, workflow, version, status: "scheduled", state: null, context: null, tags: [] },
    ...{ epoch: 1, seq: 0, allowed: [], ...nothing, startAt: iso(startAt) },
    timers: [{ event: "durachart.started", due: iso(startAt) }],
    timerCount: 1,
    incidents: shownIncidents(scheduledIncidents(scheduled), sight),
    createdAt: iso(createdAt),
    updatedAt: iso(createdAt),
    ...more,
  } satisfies Omit<View, "state" | "context"> & { state: null; context: null });
}

export function scheduledIncidents({ request, due, error }: Scheduled): Incident[] {
  if (due !== null) return [];
  const id = "start";
  const { address } = request;
  return [
    {
      id,
      kind: "blocked",
      what: "start",
      error: error ?? "",
      mend: mending(address, "retry", { incident: id }),
    },
  ];
}

/** What is stored of an instance that the deployment can't run, as it stands there. */
export function quarantinedView(
  store: Store,
  error: Quarantined,
  sight: Sight,
  more: object = {},
): string {
  const identity = store.identity();
  const { id, workflow, version, epoch, createdAt } = identity;
  const { machine, timers, seq, updatedAt } = readStored(store);
  const parent = parentLink(identity);
  return JSON.stringify({
    ...{ id, workflow, version, status: "quarantined", state: machine.value },
    ...{
      context: shownMembers(machine.context, sight),
      tags: [],
      epoch,
      seq,
      allowed: [],
      ...nothing,
    },
    deferred: store.deferred
      .all()
      .map(({ type, seq: at, until }) => ({ type, seq: at, until: iso(until) })),
    held: store.held.all().map(({ type, seq: at }) => ({ type, seq: at })),
    timers: timers.map(({ event, at }) => ({ event: event.type, due: iso(at) })),
    timerCount: timers.length + store.timers.count(),
    pending: store.effects.all().length,
    incidents: shownIncidents([quarantineIncident(identity, error)], sight),
    parent: parent === null ? undefined : { workflow: parent.workflow, id: parent.id },
    createdAt: iso(createdAt),
    updatedAt: iso(updatedAt),
    ...more,
  });
}

export function quarantineIncident(
  identity: { workflow: string; id: string; version: string },
  error: Quarantined,
): Incident {
  return {
    id: "quarantine",
    kind: "quarantined",
    what: `${identity.workflow} version ${identity.version}`,
    error: error.message,
    mend: mending(identity, "migrate"),
  };
}

const nothing = {
  actors: [],
  deferred: [],
  held: [],
  pending: 0,
  retrying: [],
};
