import type { Attributes } from "../contract/attributes.ts";
import { isOperator, type Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { roleOf, rulesOf } from "../kernel/access.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { SUBPROTOCOL } from "../instance/instance.ts";
import { readOptionalJson } from "./body.ts";
import { idempotencyKey } from "./idempotency.ts";
import { expansion } from "./expand.ts";
import { addressOf, type Instances } from "./instances.ts";
import { wholeNumber } from "./query.ts";
import { granted, jsonResponse } from "./respond.ts";
import { startRequest } from "./start-body.ts";
import { endOf } from "./token.ts";
import type { Allowances } from "../tenants/allowances.ts";
import { originOf, type OriginSettings } from "./origins.ts";
import { issueTicket, TICKET_LIFE, type TicketSettings } from "./tickets.ts";
import { schemaOf } from "../instance/json-schema.ts";

/** A request at the door of a workflow: authenticated, its path taken apart. */
export interface Visit {
  request: Request;
  caller: Caller;
  workflow: RegisteredWorkflow;
  id: string;
  /** Where the address is an event's, its type as it stands there. */
  type: string;
  /** Where the address is a moment of the history, its number as it stands there. */
  seq: string;
  instances: Instances;
  /** `traceparent` to go on with. */
  trace: string;
  /** The Worker's bindings. */
  env: unknown;
}

const MAX_HISTORY = 1_000;
const DEFAULT_HISTORY = 100;

const SCHEMA_HEADERS = { "Content-Type": "application/schema+json" };

/** `POST /{workflow}` */
export async function start(visit: Visit): Promise<Response> {
  const { request, caller, workflow, instances, trace } = visit;
  const expand = expansion(visit);
  const body = await readOptionalJson(request);
  const key = idempotencyKey(request.headers);
  const asked = startRequest(workflow, caller, body, key);
  const wanted = { ...asked, trace, ...givenTrace(request.headers, trace) };
  const { created, json } = granted(expand(await instances.start(wanted)));
  const headers = { Location: `/${workflow.key}/${wanted.address.id}` };
  return jsonResponse(json, created ? 201 : 200, headers);
}

/** `GET /{workflow}/{id}` */
export async function view(visit: Visit): Promise<Response> {
  const { caller, workflow, id, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const expand = expansion(visit);
  return jsonResponse(granted(expand(await instances.get({ address, caller }))).json);
}

/** `GET /{workflow}/{id}/history` */
export async function history(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const query = new URL(request.url).searchParams;
  const after = wholeNumber(query, "after", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const limit = wholeNumber(query, "limit", 1, MAX_HISTORY) ?? DEFAULT_HISTORY;
  const { json, next } = granted(await instances.history({ address, caller, after, limit }));
  const link = `</${workflow.key}/${id}/history?after=${next}&limit=${limit}>; rel="next"`;
  return jsonResponse(`{"entries":${json}}`, 200, next === null ? {} : { Link: link });
}

/** `POST /{workflow}/{id}/tickets`: what a page opens a socket with, which can send no token. */
export async function ticket(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, env } = visit;
  addressOf(caller, workflow.key, id);
  const settings = env as TicketSettings & OriginSettings;
  const origin = originOf(request, settings);
  const wanted = { caller, workflow: workflow.key, id, origin, until: endOf(request) };
  const body = { ticket: await issueTicket(settings, wanted), expiresIn: TICKET_LIFE };
  return jsonResponse(JSON.stringify(body), 201);
}

/** Somebody who wants to watch. */
export interface Watcher extends Visit {
  until: number;
  ticket?: { id: string; expires: number };
  allowances: Allowances;
}

/** `GET /{workflow}/{id}/stream`: a WebSocket of CloudEvents. */
export async function stream(visit: Watcher): Promise<Response> {
  const { request, caller, workflow, id, instances, until, allowances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const query = new URL(request.url).searchParams;
  const after = wholeNumber(query, "after", 0, Number.MAX_SAFE_INTEGER);
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    throw refusal("upgrade-required", `Open this address as a WebSocket, protocol ${SUBPROTOCOL}.`);
  }
  const offered = request.headers.get("sec-websocket-protocol");
  if (offered !== null && !offered.split(",").some((name) => name.trim() === SUBPROTOCOL)) {
    throw refusal("bad-parameter", `The only subprotocol is ${SUBPROTOCOL}; offer it, or none.`);
  }
  const epoch = wholeNumber(query, "epoch", 1, Number.MAX_SAFE_INTEGER) ?? undefined;
  const ask = {
    address,
    caller,
    after,
    until,
    ...(epoch === undefined ? {} : { epoch }),
    ...(visit.ticket === undefined ? {} : { ticket: visit.ticket }),
  };
  const response = await allowances.openWith(caller.tenant, until, (socket) =>
    instances.stream({ ...ask, socket }),
  );
  if (response.webSocket === null) {
    // What it says of itself can't be added to.
    return new Response(response.body, response);
  }
  if (offered !== null) return response;
  // A client that offered no subprotocol must not be answered one (RFC 6455, 4.1).
  return new Response(null, { status: 101, webSocket: response.webSocket });
}

/** `GET /machines/{workflow}/events/{type}`: the JSON Schema of an event's data. */
export async function eventSchema({ caller, workflow, type }: Visit): Promise<Response> {
  const name = decoded(type);
  const isTheirs =
    isOperator(caller) ||
    rulesOf(workflow.events, name).some((rule) => caller.roles.includes(roleOf(rule)));
  const document = isTheirs ? schemaOf(workflow, name) : null;
  if (document !== null) return jsonResponse(JSON.stringify(document), 200, SCHEMA_HEADERS);
  throw refusal("not-found", `${workflow.key} has no JSON Schema for "${type}".`);
}

/** What percent-encoding hides; text that is none as it is. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A trace that the caller named is journalled, one that was begun for it is not: it costs every entry. */
export function givenTrace(headers: Headers, trace: string): { attributes?: Attributes } {
  return headers.has("traceparent") ? { attributes: { traceparent: trace } } : {};
}
