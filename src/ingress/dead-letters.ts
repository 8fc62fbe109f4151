import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { RealmRows } from "../contract/realm-rows.ts";
import { realmOf } from "../contract/realm.ts";
import type { View } from "../contract/view.ts";
import {
  listLetters,
  readLetter,
  type LetterPosition,
  type ListedLetter,
} from "../dead-letters/letters.ts";
import { listParked, readParkedId, type Parked } from "../dead-letters/parked.ts";
import { discardLetter, redrive, type WaysBack } from "../dead-letters/redrive.ts";
import { addressOf, type Instances } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";
import { requireScope } from "./scope.ts";

/** A request for dead letters, authenticated. */
export interface DeadLetterVisit {
  request: Request;
  caller: Caller;
  id: string;
  instances: Instances;
  workflows: readonly string[];
  waysBack: WaysBack;
  env: unknown;
}

const MAX_LIMIT = 100;

const query = v.strictObject({
  unowned: v.optional(v.literal("true")),
  status: v.optional(v.picklist(["dead", "sending", "sent", "discarded"]), "dead"),
  origin: v.optional(v.pipe(v.string(), v.maxLength(300))),
  limit: v.optional(
    v.pipe(v.string(), v.digits(), v.transform(Number), v.minValue(1), v.maxValue(MAX_LIMIT)),
    "50",
  ),
  cursor: v.optional(v.pipe(v.string(), v.regex(/^[0-9a-z]{1,11}-[A-Za-z0-9_-]{1,50}$/))),
});

/** `GET /dead-letters`: the tenant's, newest first; on the first page also what its instances keep parked. */
export async function list(visit: DeadLetterVisit): Promise<Response> {
  const { request, workflows } = visit;
  const rows = shelfOf(visit);
  const url = new URL(request.url);
  const wanted = readQuery(url.searchParams);
  const { status, origin, limit, cursor } = wanted;
  const after = cursor === undefined ? undefined : readCursor(cursor);
  const isParkedWanted =
    status === "dead" && after === undefined && (origin?.startsWith("instance:") ?? true);
  const [filed, parked] = await Promise.all([
    listLetters(rows, { status, origin, after, limit, now: Date.now() }),
    isParkedWanted ? listParked(rows, { workflows, limit }) : [],
  ]);
  const ofOrigin = parked.filter((letter) => origin === undefined || letter.origin === origin);
  const body = JSON.stringify({ letters: [...ofOrigin, ...filed.letters] });
  return jsonResponse(body, 200, filed.next === null ? {} : { Link: nextLink(url, filed.next) });
}

/** `GET /dead-letters/{id}`: with what it said, and what has happened to it. */
export async function read(visit: DeadLetterVisit): Promise<Response> {
  const { caller, id, instances } = visit;
  const parked = parkedOf(visit);
  if (parked !== null) {
    const { workflow, instance, incident } = parked;
    const address = addressOf(caller, workflow, instance);
    const { json } = granted(await instances.get({ address, caller: asOperator(caller) }));
    const { incidents, updatedAt } = JSON.parse(json) as View;
    const found = incidents.find((one) => one.id === incident);
    if (found === undefined) throw notFound(id);
    const subject = `${workflow}/${instance}`;
    const letter: ListedLetter = {
      ...{ id, origin: `instance:${subject}`, status: "dead", subject, type: found.what },
      ...{ reason: { detail: found.error ?? "" }, attempts: null, filedAt: updatedAt },
    };
    return jsonResponse(JSON.stringify({ ...letter, incident }));
  }
  const letter = await readLetter(shelfOf(visit), id);
  if (letter === null) throw notFound(id);
  const { whose: _, message: __, ...shown } = letter;
  return jsonResponse(JSON.stringify(shown));
}

/** `POST /dead-letters/{id}/redrive`: sends it again, once, however often it is asked. */
export async function sendAgain(visit: DeadLetterVisit): Promise<Response> {
  const { caller, id, waysBack } = visit;
  const parked = parkedOf(visit);
  if (parked !== null) {
    await operate(visit, parked, "retry");
    return jsonResponse(JSON.stringify({ id, status: "sent" }));
  }
  const { subject: by } = caller;
  await redrive({ rows: shelfOf(visit), id, by, waysBack, now: Date.now() });
  return jsonResponse(JSON.stringify({ id, status: "sent" }));
}

/** `DELETE /dead-letters/{id}`: gives it up. It stays in the list as discarded. */
export async function discard(visit: DeadLetterVisit): Promise<Response> {
  const { caller, id, waysBack } = visit;
  const parked = parkedOf(visit);
  if (parked !== null) {
    await operate(visit, parked, "discard");
    return jsonResponse(JSON.stringify({ id, status: "discarded" }));
  }
  const { subject: by } = caller;
  await discardLetter({ rows: shelfOf(visit), id, by, waysBack, now: Date.now() });
  return jsonResponse(JSON.stringify({ id, status: "discarded" }));
}

/** What the instance does with a message that it keeps parked. */
async function operate(
  { caller, instances }: DeadLetterVisit,
  { workflow, instance, incident }: Parked,
  name: "retry" | "discard",
): Promise<void> {
  granted(
    await instances.operate({
      address: addressOf(caller, workflow, instance),
      caller: asOperator(caller),
      operation: { name, incident },
    }),
  );
}

/**
 * Where the letters are that the caller asks for: the tenant's, or with `unowned=true` those that are too
 * broken to tell whose they are, for those who run the deployment.
 *
 * @throws ProblemError forbidden, not-configured
 */
function shelfOf({ request, caller, env }: DeadLetterVisit): RealmRows {
  requireScope(caller, "dead-letters");
  const isUnowned = new URL(request.url).searchParams.get("unowned") === "true";
  if (isUnowned && !caller.roles.includes("administrator")) {
    throw refusal("forbidden", "What belongs to nobody is for the role administrator.");
  }
  const rows = isUnowned ? RealmRows.ofNobody(env) : RealmRows.of(env, realmOf(caller));
  if (rows !== null) return rows;
  throw refusal(
    "not-configured",
    "This deployment keeps no dead letters: bind a D1 database as LIST.",
  );
}

/** @throws ProblemError forbidden, not-found */
function parkedOf({ caller, id, workflows }: DeadLetterVisit): Parked | null {
  requireScope(caller, "dead-letters");
  const parked = readParkedId(id);
  if (parked !== null && !workflows.includes(parked.workflow)) throw notFound(id);
  return parked;
}

/** The scope is what allows it; the journal says who it was. */
function asOperator(caller: Caller): Caller {
  return { ...caller, roles: [...caller.roles, "operator"] };
}

/** @throws ProblemError bad-parameter */
function readQuery(parameters: URLSearchParams): v.InferOutput<typeof query> {
  const read = v.safeParse(query, Object.fromEntries(parameters));
  if (read.success) return read.output;
  const [issue] = read.issues;
  const field = v.getDotPath(issue) ?? "";
  throw refusal("bad-parameter", `${field}: ${issue.message}.`, { field });
}

function readCursor(cursor: string): LetterPosition {
  const dash = cursor.indexOf("-");
  return { filedAt: Number.parseInt(cursor.slice(0, dash), 36), id: cursor.slice(dash + 1) };
}

function nextLink(url: URL, { filedAt, id }: LetterPosition): string {
  const next = new URL(url);
  next.searchParams.set("cursor", `${filedAt.toString(36)}-${id}`);
  return `<${next.pathname}${next.search}>; rel="next"`;
}

function notFound(id: string) {
  return refusal("not-found", `There is no dead letter "${id}".`);
}
