import * as v from "valibot";
import { refusal } from "../contract/problem.ts";
import { databaseOf, databasesOf } from "../list/databases.ts";
import { labelOf } from "../list/labels.ts";
import { countsOf, search, type Position, type Search } from "../list/search.ts";
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
  const databases = databasesOf(env);
  if (databases.length === 0) {
    throw refusal("not-configured", "This deployment keeps no list: bind a D1 database as LIST.");
  }
  const { tenant, jurisdiction = null } = caller;
  const database = databaseOf(databases, tenant);
  const { counts: wantsCounts, ...wanted } = query;
  const scope = { tenant, workflow: workflow.key };
  const [{ instances, next }, counts] = await Promise.all([
    search(database, { ...wanted, ...scope, jurisdiction }),
    wantsCounts ? countsOf(database, scope) : undefined,
  ]);
  const body = JSON.stringify({ instances, ...(counts === undefined ? {} : { counts }) });
  return jsonResponse(body, 200, next === null ? {} : { Link: nextLink(request.url, next) });
}

type Query = Omit<Search, "tenant" | "workflow" | "jurisdiction"> & { counts: boolean };

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
    if (name.startsWith(ATTRIBUTE)) {
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
          "The parameters are status, state, version, incident, attribute.NAME, createdAfter, createdBefore, limit, cursor and counts.",
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
