import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { RealmRows } from "../contract/realm-rows.ts";
import { realmOf } from "../contract/realm.ts";
import { shownIncidents, shownMembers } from "../instance/shown.ts";
import { reachOfAll, sightOf, type Sight } from "../kernel/access.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { labelOf } from "../list/labels.ts";
import { countsOf, search, type Listed, type Position, type Search } from "../list/search.ts";
import type { Visit } from "./handlers.ts";
import { jsonResponse } from "./respond.ts";

const MAX_LIMIT = 100;
const DEFAULT_LIMIT = 50;

/** Filters for one search; D1 binds at most 100 parameters. */
const MAX_ATTRIBUTES = 20;
const MAX_VALUE = 250;
const ATTRIBUTE = "attribute.";

/** `GET /{workflow}`: the tenant's instances, newest first. */
export async function list({ request, caller, workflow }: Visit, env: unknown): Promise<Response> {
  const query = readQuery(new URL(request.url).searchParams);
  const rows = RealmRows.of(env, realmOf(caller));
  if (rows === null) {
    throw refusal("not-configured", "This deployment keeps no list: bind a D1 database as LIST.");
  }
  const { counts: wantsCounts, ...wanted } = query;
  const scope = { workflow: workflow.key };
  const isOwnOnly = reachOfAll(workflow, caller.roles) === "own";
  if (isOwnOnly && wantsCounts) {
    throw refusal("forbidden", "counts are of the whole tenant; you see your own instances only.");
  }
  // As if all were their own.
  const ofOwn = sightOf(workflow, caller.roles, true);
  const ofAny = sightOf(workflow, caller.roles, false);
  for (const label of wanted.labels) checkAsked(label, ofOwn, caller);
  // What they see of their own alone, they find their own by.
  const amongOwn = isOwnOnly || !wanted.labels.every((label) => isTheirs(label, ofAny, caller));
  const labels = amongOwn ? [...wanted.labels, labelOf.owner(caller.subject)] : wanted.labels;
  const [{ instances, next }, counts] = await Promise.all([
    search(rows, { ...wanted, labels, ...scope }),
    wantsCounts ? countsOf(rows, scope) : undefined,
  ]);
  const shown = instances.flatMap((one) => shownTo(caller, workflow, one) ?? []);
  const body = JSON.stringify({
    instances: shown,
    ...(counts === undefined ? {} : { counts }),
  });
  return jsonResponse(body, 200, next === null ? {} : { Link: nextLink(request.url, next) });
}

/** What they don't see they can't ask for: the answer would tell. @throws ProblemError bad-parameter */
function checkAsked(label: string, sight: Sight | null, caller: Caller): void {
  if (isTheirs(label, sight, caller)) return;
  const asked = label.startsWith(labelOf.owner(""))
    ? "owner"
    : label.slice(0, label.indexOf("=")).replace(":", ".");
  throw bad(asked, `${asked} is not yours to search by.`);
}

/** Whether a label is what they see of instances, or true of their own alone. */
function isTheirs(label: string, sight: Sight | null, { subject }: Caller): boolean {
  const [, name] = /^attribute:([^=]*)=/.exec(label) ?? [];
  if (name === undefined || label === labelOf.owner(subject)) return true;
  return sight !== null && (sight.everything || sight.keys.has(name));
}

/** What somebody is shown of a listed instance; null where it isn't theirs to see. */
function shownTo(
  { subject, roles }: Caller,
  workflow: RegisteredWorkflow,
  found: Listed,
): object | null {
  const { incidents, attributes, owner, ...rest } = found;
  const isOwner = owner === subject;
  const sight = sightOf(workflow, roles, isOwner);
  if (sight === null) return null;
  if (sight.everything) return found;
  return {
    ...rest,
    ...(isOwner ? { owner } : {}),
    incidents: shownIncidents(incidents, sight),
    attributes: shownMembers(attributes, sight),
  };
}

type Query = Omit<Search, "workflow"> & { counts: boolean };

/** @throws ProblemError bad-parameter */
function readQuery(parameters: URLSearchParams): Query {
  const query: Query = { labels: [], limit: DEFAULT_LIMIT, counts: false };
  const labels = new Set<string>();
  for (const name of new Set(parameters.keys())) {
    const [value = "", ...more] = parameters.getAll(name);
    if (more.length > 0) throw bad(name, `Give ${name} once.`);
    if (value === "" || value.length > MAX_VALUE) {
      throw bad(name, `${name} must have 1 to ${MAX_VALUE} characters.`);
    }
    if (name.startsWith(ATTRIBUTE) && !name.includes("$")) {
      labels.add(labelOf.attribute(name.slice(ATTRIBUTE.length), value));
      continue;
    }
    switch (name) {
      case "status":
      case "state":
      case "version":
      case "incident":
        labels.add(labelOf[name](value));
        break;
      case "owner":
        labels.add(labelOf.owner(value));
        break;
      case "createdAfter":
      case "createdBefore":
        query[name] = readTime(name, value);
        break;
      case "limit":
        query.limit = readLimit(value);
        break;
      case "cursor":
        query.after = readCursor(value);
        break;
      case "counts":
        if (value !== "true" && value !== "false") throw bad(name, "counts must be true or false.");
        query.counts = value === "true";
        break;
      default:
        throw bad(
          name,
          "The parameters are status, state, version, incident, owner, attribute.NAME, createdAfter, createdBefore, limit, cursor and counts.",
        );
    }
  }
  if (labels.size > MAX_ATTRIBUTES) {
    throw bad("attribute", `At most ${MAX_ATTRIBUTES} filters can be combined.`);
  }
  return { ...query, labels: [...labels] };
}

const time = v.union([v.pipe(v.string(), v.isoTimestamp()), v.pipe(v.string(), v.isoDate())]);

function readTime(name: string, value: string): number {
  const milliseconds = Date.parse(value);
  if (v.is(time, value) && Number.isFinite(milliseconds)) return milliseconds;
  throw bad(name, `${name} must be a time such as 2026-11-22T10:00:00Z, or a date.`);
}

function readLimit(value: string): number {
  const limit = Number(value);
  if (/^\d{1,3}$/.test(value) && limit >= 1 && limit <= MAX_LIMIT) return limit;
  throw bad("limit", `limit must be a whole number of at least 1, at most ${MAX_LIMIT}.`);
}

/** `{time in base 36}-{object}`. It names a place, and whose list it is a place of is the token's say. */
const CURSOR = /^([0-9a-z]{1,11})-([0-9a-f]{64})$/;

function readCursor(value: string): Position {
  const [, at = "", object = ""] = CURSOR.exec(value) ?? [];
  const createdAt = Number.parseInt(at, 36);
  if (Number.isSafeInteger(createdAt)) return { createdAt, object };
  throw bad("cursor", "Take the cursor from the Link header of the page before.");
}

function nextLink(url: string, { createdAt, object }: Position): string {
  const { pathname, searchParams } = new URL(url);
  searchParams.set("cursor", `${createdAt.toString(36)}-${object}`);
  return `<${pathname}?${searchParams.toString()}>; rel="next"`;
}

function bad(field: string, detail: string) {
  return refusal("bad-parameter", detail, { field });
}
