import type {
  ActorView,
  AllowedEvent,
  EventReply,
  JournalEntry,
  Retrying,
  View,
} from "../contract/view.ts";
import type { OperationView } from "../contract/operations.ts";
import type { Sight } from "../kernel/access.ts";
import { outlook, prospectsOf, type Prospect } from "../kernel/allowed.ts";
import type { JournalledChanges } from "../kernel/moment.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { ROOT, type MachineState } from "../kernel/step.ts";
import type { ActorState } from "../kernel/system.ts";
import type { InstancePayload } from "./effect-rows.ts";
import type { Live } from "./live.ts";
import { schemaPath } from "./json-schema.ts";
import {
  shownContext,
  shownEntry,
  shownIncidents,
  shownMembers,
  shownRetrying,
  shownSubject,
} from "./shown.ts";
import { mayBeSent, type Viewer } from "./sight.ts";
import { parentLink, type JournalRow } from "./store.ts";
import { incidentsOf, type Troubles } from "./incidents.ts";
import { countTimers, nextTimers } from "./timer-book.ts";

export function viewOf(live: Live, viewer: Viewer, troubles?: Troubles): View {
  return JSON.parse(viewText(live, viewer, {}, troubles)) as View;
}

/**
 * The view as JSON text. Every event is answered with one, so what stays the same from event to event
 * is not made again: the context's text is the stored one, and what depends on the configuration of
 * the chart alone is remembered with it.
 *
 * @param standing incidents of the instance as a whole
 */
export function viewText(
  live: Live,
  viewer: Viewer,
  more: Partial<EventReply & OperationView> = {},
  troubles?: Troubles,
): string {
  const { identity, timers, effects } = live;
  const { sight } = viewer;
  // What they did was to let go of it: they are told that it is done.
  if (sight === null) {
    const { id, workflow, epoch } = identity;
    return JSON.stringify({ id, workflow, epoch, seq: live.seq, ...more });
  }
  const { status, output, error } = live.machine.snapshot;
  const head = {
    id: identity.id,
    workflow: identity.workflow,
    version: identity.version,
    status: live.paused === null ? status : "paused",
  };
  const timerCount = countTimers(timers);
  const parent = parentLink(identity);
  const tail = {
    epoch: identity.epoch,
    seq: live.seq,
    actors: live.machine.actors.size === 1 ? [] : actorsOf(live),
    ...(live.paused === null
      ? {}
      : { paused: { since: iso(live.paused.at), by: shownSubject(live.paused.by, viewer) } }),
    deferred: live.deferred.map(({ type, seq, until }) => ({ type, seq, until: iso(until) })),
    held: live.held.map(({ type, seq }) => ({ type, seq })),
    timers: deadlines(live),
    timerCount,
    pending: effects.size,
    retrying: effects.size === 0 ? [] : shownRetrying(retryingIn(live), sight),
    incidents: shownIncidents(incidentsOf(live, troubles), sight),
    parent: parent === null ? undefined : { workflow: parent.workflow, id: parent.id },
    createdAt: iso(identity.createdAt),
    updatedAt: iso(live.updatedAt),
    output: output === undefined ? undefined : shownMembers(output, sight),
    error: sight.everything ? error : undefined,
    ...more,
  };
  const { text, prospects, allowedTexts } = configurationOf(live);
  const guards = status === "active" ? outlook(prospects, live.machine).join() : status;
  const mine = sight.operator
    ? ""
    : prospects.map(({ type }) => (mayBeSent(live, type, viewer) ? 1 : 0)).join("");
  const key = `${guards} ${mine}`;
  let allowed = allowedTexts.get(key);
  if (allowed === undefined) {
    allowed = JSON.stringify(allowedFor(live, viewer));
    if (allowedTexts.size >= 100) allowedTexts.clear();
    allowedTexts.set(key, allowed);
  }
  return `${open(head)},${text},"context":${shownContext(live.texts, sight)},"allowed":${allowed},${JSON.stringify(tail).slice(1)}`;
}

/** An object's JSON text, to be gone on with. */
export function open(value: object): string {
  return JSON.stringify(value).slice(0, -1);
}

/** What the caller may do now; nobody is shown what only others may. */
export function allowedFor(live: Live, viewer: Viewer): AllowedEvent[] {
  const { workflow, machine } = live;
  if (machine.snapshot.status !== "active") return [];
  const { prospects } = configurationOf(live);
  const guards = outlook(prospects, machine);
  return prospects.flatMap(({ type }, index) => {
    if (!mayBeSent(live, type, viewer)) return [];
    const schema = schemaPath(workflow, type);
    return [{ type, guard: guards[index]!, ...(schema === null ? {} : { schema }) }];
  });
}

/** The next deadlines. */
export function deadlines({ timers }: Live): View["timers"] {
  return nextTimers(timers).map(({ event, at }) => ({ event: event.type, due: iso(at) }));
}

/** An entry as somebody is shown it. */
export function entryFor(
  live: Pick<Live, "identity">,
  workflow: Pick<RegisteredWorkflow, "events">,
  row: JournalRow,
  viewer: Viewer & { sight: Sight },
): JournalEntry {
  return shownEntry(workflow, journalEntry(live, row), viewer);
}

/** An entry whole: for what the deployment itself does with it. */
export function journalEntry(live: Pick<Live, "identity">, row: JournalRow): JournalEntry {
  const {
    inner: _,
    seal: __,
    attributes,
    credential,
    ...changes
  } = JSON.parse(row.changes) as JournalledChanges;
  return {
    epoch: live.identity.epoch,
    seq: row.seq,
    at: iso(row.at),
    event: {
      type: row.type,
      ...(row.data === null ? {} : { data: JSON.parse(row.data) as unknown }),
      ...(attributes === undefined ? {} : { attributes }),
    },
    outcome: row.outcome,
    by: row.by,
    ...(credential === undefined ? {} : { credential }),
    state: JSON.parse(row.state) as View["state"],
    changes,
  };
}

type Snapshot = Live["machine"]["snapshot"];

interface Configuration {
  /** The state's value, message and tags, as members of a JSON object. */
  text: string;
  prospects: readonly Prospect[];
  /** The JSON of what is allowed, by what the guards say, or the status, and roles. */
  allowedTexts: Map<string, string>;
}

/** What the active state nodes alone decide. XState keeps their list as long as they stay the same. */
const configurations = new WeakMap<object, Configuration>();

/** The same for all instances of a workflow, by which nodes are active. */
const byNodes = new WeakMap<RegisteredWorkflow, Map<string, Configuration>>();

/** Charts have more configurations than anybody can keep. */
const MAX_CONFIGURATIONS = 1_000;

export function configurationOf({ workflow, machine: { snapshot } }: Live): Configuration {
  let found = configurations.get(snapshot._nodes);
  if (found !== undefined) return found;
  let known = byNodes.get(workflow);
  if (known === undefined) byNodes.set(workflow, (known = new Map()));
  const nodes = snapshot._nodes.map(({ order }) => order).join();
  found = known.get(nodes);
  if (found === undefined) {
    found = newConfiguration(workflow, snapshot);
    if (known.size < MAX_CONFIGURATIONS) known.set(nodes, found);
  }
  configurations.set(snapshot._nodes, found);
  return found;
}

function newConfiguration({ events }: RegisteredWorkflow, snapshot: Snapshot): Configuration {
  // Read back from storage they stand in another order.
  const nodes = snapshot._nodes.toSorted((one, other) => one.order - other.order);
  const tags = [...new Set(nodes.flatMap((node) => node.tags))];
  const text = JSON.stringify({ state: snapshot.value, message: innermostMessage(nodes), tags });
  return {
    text: text.slice(1, -1),
    prospects: prospectsOf(nodes, events && Object.keys(events)),
    allowedTexts: new Map(),
  };
}

/** Of regions side by side, the first that is still under way. */
function innermostMessage(nodes: Snapshot["_nodes"]): string | undefined {
  let innermost: { rank: number; message: string } | undefined;
  for (const { meta, path, type } of nodes) {
    const message = (meta as { message?: unknown } | undefined)?.message;
    if (typeof message !== "string") continue;
    const rank = 2 * path.length + (type === "final" ? 0 : 1);
    if (innermost === undefined || rank > innermost.rank) innermost = { rank, message };
  }
  return innermost?.message;
}

export function actorsOf({ machine, effects }: Live): ActorView[] {
  // Read back from storage they stand in another order.
  const inOrder = [...machine.actors.values()].toSorted((a, b) => a.key - b.key);
  return inOrder.flatMap((actor) => {
    if (actor.key === ROOT) return [];
    const { key, src, snapshot } = actor;
    const row = effects.get(key);
    const payload = row?.kind === "instance" ? (JSON.parse(row.payload) as InstancePayload) : null;
    return {
      id: pathOf(actor, machine),
      src,
      status: snapshot.status,
      ...(actor.kind === "machine" ? { state: snapshot["value"] as View["state"] } : {}),
      ...(payload === null
        ? {}
        : { instance: { workflow: payload.workflow, id: payload.instance } }),
    };
  });
}

function pathOf({ id, parent }: ActorState, machine: MachineState): string {
  const above = parent === null ? undefined : machine.actors.get(parent);
  return above === undefined || above.key === ROOT ? id : `${pathOf(above, machine)}/${id}`;
}

function retryingIn({ effects }: Live): Retrying[] {
  return [...effects.values()].flatMap(({ kind, name, status, attempt, due, error }) => {
    if (error === null || status === "parked") return [];
    return [{ what: `${kind} ${name}`, attempt, nextTry: iso(due), error }];
  });
}

const seconds = new Map<number, string>();

/** ISO 8601 in UTC. Formatting a date costs more than all else in a view; few different seconds occur. */
export function iso(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1_000);
  let prefix = seconds.get(second);
  if (prefix === undefined) {
    if (seconds.size >= 1_000) seconds.clear();
    prefix = new Date(second * 1_000).toISOString().slice(0, -4);
    seconds.set(second, prefix);
  }
  return `${prefix}${String(milliseconds - second * 1_000).padStart(3, "0")}Z`;
}
