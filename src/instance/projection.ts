import type { Report } from "./report.ts";
import type { StateValue } from "xstate";
import {
  OWNER,
  type Attributes,
  type ListedIncident,
  type Projection,
} from "../contract/projection.ts";
import { joinContext } from "../kernel/changes.ts";
import type { Quarantined } from "../kernel/errors.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { nextDue, type Live } from "./live.ts";
import { quarantineIncident, scheduledIncidents } from "./partial-views.ts";
import type { Scheduled } from "./schedule.ts";
import type { Identity, Store } from "./store.ts";
import type { Tombstone } from "./tombstone.ts";
import { ownerNow, ownerOf } from "./sight.ts";
import { incidentsOf, type Troubles } from "./incidents.ts";

/** What of an instance the list can be behind of. */
export interface Mark {
  epoch: number;
  seq: number;
  /** How many incidents there are; `IN_QUARANTINE` where the instance can't be read. */
  incidents: number;
}

export const IN_QUARANTINE = -1;

/** Everything but what its sender adds. */
export type Unsent = Omit<Projection, "revision">;

/** A message to the list is to stay far below the 128 KB that queues take. */
const MAX_INCIDENTS = 10;
const MAX_ERROR = 500;
const MAX_STATES = 100;
const MAX_PATH = 200;
const MAX_STATE_TEXT = 16_384;
const MAX_ATTRIBUTES = 20;
const MAX_ATTRIBUTE_TEXT = 200;
const ATTRIBUTE_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,49}$/;

export function markOf(live: Live, troubles: Troubles): Mark {
  const { seq, identity } = live;
  return { epoch: identity.epoch, seq, incidents: incidentsOf(live, troubles).length };
}

/** @param report told of attributes that are of no use; the instance is listed without them */
export function projectionOf(
  object: string,
  live: Live,
  troubles: Troubles,
  report: Report,
): Unsent {
  const { identity, machine, seq, updatedAt, workflow, texts } = live;
  const { status, value } = machine.snapshot;
  // From its text: what the author's function alters must not be the instance's own context.
  const context = (): unknown => JSON.parse(joinContext(texts));
  const due = nextDue(live);
  return {
    ...common(object, identity, seq, updatedAt),
    status: live.paused === null ? status : "paused",
    ...listedState(value as StateValue),
    attributes: { ...attributesOf(workflow, context, report), ...ownedBy(ownerNow(live)) },
    incidents: incidentsOf(live, troubles).slice(0, MAX_INCIDENTS).map(clipped),
    due: due === Infinity ? null : due,
  };
}

/** @param workflows of the deployment that can't read the instance; attributes may still be found */
export function projectionOfQuarantined(
  object: string,
  store: Store,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  error: Quarantined,
  report: Report,
): Unsent {
  const identity = store.identity();
  const { seq, updatedAt, body } = store.state();
  const { machine } = JSON.parse(body) as { machine: { value: StateValue; context: unknown } };
  const workflow = workflows.get(identity.workflow);
  const context = () => machine.context;
  return {
    ...common(object, identity, seq, updatedAt),
    status: "quarantined",
    ...listedState(machine.value),
    attributes: {
      ...attributesOf(workflow, context, report),
      ...ownedBy(ownerOf(workflow, identity, context)),
    },
    incidents: [clipped(quarantineIncident(identity, error))],
    due: null,
  };
}

export function projectionOfScheduled(object: string, scheduled: Scheduled): Unsent {
  const { request, version, createdAt, due } = scheduled;
  const { tenant, workflow, id } = request.address;
  return {
    ...{ object, tenant, workflow, id, jurisdiction: request.caller.jurisdiction ?? null },
    ...{ epoch: 1, seq: 0, version, status: "scheduled", state: null, states: [] },
    ...{
      attributes: ownedBy(request.caller.subject),
      incidents: scheduledIncidents(scheduled).map(clipped),
    },
    ...{ due, createdAt, updatedAt: createdAt },
  };
}

/** All that the list may still know. */
export function projectionOfErased(object: string, tombstone: Tombstone): Unsent {
  const { tenant, workflow, jurisdiction, epoch, erasedAt } = tombstone;
  return {
    ...{ object, tenant, workflow, id: "", jurisdiction, epoch: epoch + 1, seq: 0, version: "" },
    ...{ status: "erased", state: null, states: [], attributes: {}, incidents: [], due: null },
    ...{ createdAt: erasedAt, updatedAt: erasedAt },
  };
}

function common(object: string, identity: Identity, seq: number, updatedAt: number) {
  const { tenant, workflow, id, jurisdiction, epoch, version, createdAt } = identity;
  const address = { object, tenant, workflow, id, jurisdiction };
  return { ...address, epoch, seq, version, createdAt, updatedAt };
}

function listedState(value: StateValue): Pick<Projection, "state" | "states"> {
  const isListable = JSON.stringify(value).length <= MAX_STATE_TEXT;
  const states = statePaths(value).filter((path) => path.length <= MAX_PATH);
  return { state: isListable ? value : null, states: states.slice(0, MAX_STATES) };
}

/** `{ a: { b: "c" } }` → `a`, `a.b`, `a.b.c`. */
function statePaths(value: StateValue, above = ""): string[] {
  if (typeof value === "string") return [above + value];
  return Object.entries(value).flatMap(([key, inner]) => [
    above + key,
    ...(inner === undefined ? [] : statePaths(inner, `${above}${key}.`)),
  ]);
}

/** Of names that are too long for the list nobody finds their own: subjects of tokens are shorter. */
function ownedBy(owner: string | null): Attributes {
  return owner === null || owner.length > MAX_ATTRIBUTE_TEXT ? {} : { [OWNER]: owner };
}

function clipped({ id, kind, what, error, mend }: ListedIncident): ListedIncident {
  return {
    ...(id === undefined ? {} : { id }),
    kind,
    what: what.slice(0, MAX_ERROR),
    error: error.slice(0, MAX_ERROR),
    mend,
  };
}

function attributesOf(
  registered: RegisteredWorkflow | undefined,
  context: () => unknown,
  report: Report,
): Attributes {
  if (registered?.attributes === undefined) return {};
  try {
    return checkedAttributes(registered.attributes(context() as never));
  } catch (error) {
    report("The attributes are of no use; it is listed without", error);
    return {};
  }
}

function checkedAttributes(found: unknown): Attributes {
  // Not an object's prototype: a promise, a date or a list is no set of attributes.
  if (Object.prototype.toString.call(found) !== "[object Object]") {
    throw new TypeError("attributes must give an object of strings, numbers and booleans");
  }
  const entries = Object.entries(found as Record<string, unknown>);
  if (entries.length > MAX_ATTRIBUTES) {
    throw new TypeError(`There are ${entries.length} attributes; at most ${MAX_ATTRIBUTES}`);
  }
  for (const [name, value] of entries) {
    const isText = typeof value === "string" && value.length <= MAX_ATTRIBUTE_TEXT;
    const isValue = isText || Number.isFinite(value) || typeof value === "boolean";
    if (ATTRIBUTE_NAME.test(name) && isValue) continue;
    throw new TypeError(
      `The attribute "${name.slice(0, 60)}" must have a short name of letters, digits, _ and -, and be a string of at most ${MAX_ATTRIBUTE_TEXT} characters, a finite number or a boolean`,
    );
  }
  return found as Attributes;
}
