import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { SendReply, SendRequest } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { SUBPROTOCOL } from "../instance/instance.ts";
import { readJson, readOptionalJson, readText } from "./body.ts";
import { isCloudEvent, readCloudEvent } from "./cloudevent.ts";
import { deliverCloudEvent } from "./deliver.ts";
import { dedupeByCloudEvent, dedupeByKey, idempotencyKey } from "./idempotency.ts";
import { expansion } from "./expand.ts";
import { addressOf, type Instances } from "./instances.ts";
import { wholeNumber } from "./query.ts";
import { granted, jsonResponse } from "./respond.ts";
import { startRequest } from "./start-body.ts";
import { schemaOf } from "../instance/json-schema.ts";
import { incoming, validate } from "../instance/validate.ts";
import type { WebhookSettings } from "./senders.ts";
import { authenticateWebhook } from "./webhook.ts";

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
  /** The Worker's bindings. */
  env: unknown;
}

const MAX_HISTORY = 1_000;
const DEFAULT_HISTORY = 100;

const SCHEMA_HEADERS = { "Content-Type": "application/schema+json" };

const eventBody = v.strictObject({ type: v.optional(v.unknown()), data: v.optional(v.unknown()) });

/** `POST /{workflow}` */
export async function start(visit: Visit): Promise<Response> {
  const { request, caller, workflow, instances } = visit;
  const expand = expansion(visit);
  const body = await readOptionalJson(request);
  const wanted = startRequest(workflow, caller, body, idempotencyKey(request.headers));
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

/** `POST /{workflow}/{id}/events`: `{type, data}`, or a CloudEvent in binary or structured mode. */
export async function send(visit: Visit): Promise<Response> {
  const { caller, workflow, id, instances } = visit;
  const address = addressOf(caller, workflow.key, id);
  const expand = expansion(visit);
  const { event, dedupe } = await readEvent(visit);
  const wanted = { address, caller, event, ...(dedupe === undefined ? {} : { dedupe }) };
  return answerTo(expand(await instances.send(wanted)));
}

async function readEvent(visit: Visit): Promise<Pick<SendRequest, "event" | "dedupe">> {
  const { request, caller, workflow, id } = visit;
  const { headers } = request;
  const key = idempotencyKey(headers);
  if (isCloudEvent(headers)) {
    const received = readCloudEvent(headers, await readText(request));
    const about = `${workflow.key}/${id}`;
    if (received.subject !== undefined && received.subject !== about) {
      const detail = `The event's subject is "${received.subject}", the address is "${about}".`;
      throw refusal("bad-cloudevent", detail, { field: "subject" });
    }
    const event = incoming(workflow, received.type, received.data);
    return { event, dedupe: dedupeByCloudEvent(caller, received) };
  }
  const { type, data } = validate(eventBody, await readJson(request), "");
  const event = incoming(workflow, type, data);
  return key === undefined ? { event } : { event, dedupe: dedupeByKey(caller, key) };
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

/** `GET /{workflow}/{id}/stream`: a WebSocket of CloudEvents. */
export async function stream(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances } = visit;
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
  const ask = { address, caller, after, ...(epoch === undefined ? {} : { epoch }) };
  const response = await instances.stream(ask);
  if (response.webSocket === null || offered !== null) return response;
  // A client that offered no subprotocol must not be answered one (RFC 6455, 4.1).
  return new Response(null, { status: 101, webSocket: response.webSocket });
}

/** `GET /machines/{workflow}/events/{type}`: the JSON Schema of an event's data. */
export async function eventSchema({ workflow, type }: Visit): Promise<Response> {
  const document = schemaOf(workflow, decoded(type));
  if (document !== null) return jsonResponse(JSON.stringify(document), 200, SCHEMA_HEADERS);
  throw refusal("not-found", `${workflow.key} has no JSON Schema for "${type}".`);
}

/** `POST /events`: a signed CloudEvent, whose subject names the instance. */
export async function webhook(
  request: Request,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  instances: Instances,
  settings: WebhookSettings,
): Promise<Response> {
  const text = await readText(request);
  const caller = authenticateWebhook(request.headers, text, settings);
  const received = readCloudEvent(request.headers, text);
  return answerTo(await deliverCloudEvent(workflows, instances, caller, received));
}

/** 202 where the event is kept for later. */
function answerTo(reply: SendReply): Response {
  const { json, deferred } = granted(reply);
  return jsonResponse(json, deferred ? 202 : 200);
}

/** What percent-encoding hides; text that is none as it is. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
