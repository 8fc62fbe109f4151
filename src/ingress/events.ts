import * as v from "valibot";
import { isCloudEvent, readCloudEvents, type Arrived } from "../cloudevents/http.ts";
import type { ReceivedEvent } from "../cloudevents/received.ts";
import { dedupeByKey } from "../contract/dedupe.ts";
import { mediaType } from "../contract/json.ts";
import { ProblemError, problem, refusal, type Problem } from "../contract/problem.ts";
import type { Receipt, SendReply, SendRequest } from "../contract/requests.ts";
import { MAX_EVENT_BYTES } from "../contract/shape.ts";
import type { Allowances } from "../tenants/allowances.ts";
import { incoming, validate } from "../instance/validate.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { readBytes, readJson } from "./body.ts";
import { requestOf, requestTo } from "./deliver.ts";
import { expansion } from "./expand.ts";
import { givenTrace, type Visit } from "./handlers.ts";
import { idempotencyKey } from "./idempotency.ts";
import { addressOf, type Instances } from "./instances.ts";
import { granted, jsonResponse } from "./respond.ts";
import type { WebhookSettings } from "./senders.ts";
import { authenticateWebhook } from "./webhook.ts";

const eventBody = v.strictObject({ type: v.optional(v.unknown()), data: v.optional(v.unknown()) });

/** What a batch of events may weigh. Each of them has the limit of one event besides. */
const MAX_BATCH_BYTES = 1024 * 1024;

/** `POST /{workflow}/{id}/events`: `{type, data}`, or a CloudEvent in binary, structured or batch mode. */
export async function send(visit: Visit): Promise<Response> {
  const { request, caller, workflow, id, instances, trace } = visit;
  const { headers } = request;
  const expand = expansion(visit);
  if (!isCloudEvent(headers)) {
    const key = idempotencyKey(headers);
    const { type, data } = validate(eventBody, await readJson(request), "");
    return answerTo(
      expand(
        await instances.send({
          address: addressOf(caller, workflow.key, id),
          caller,
          event: incoming(workflow, type, data),
          ...(key === undefined ? {} : { dedupe: dedupeByKey(caller, key) }),
          trace,
          ...givenTrace(headers, trace),
        }),
      ),
    );
  }
  idempotencyKey(headers);
  const about = `${workflow.key}/${id}`;
  const wanted = (received: ReceivedEvent): SendRequest => {
    if (received.subject !== undefined && received.subject !== about) {
      const detail = `The event's subject is "${received.subject}", the address is "${about}".`;
      throw refusal("bad-cloudevent", detail, { field: "subject" });
    }
    return requestTo(workflow, id, received, { caller, trace });
  };
  const arrived = readCloudEvents(headers, await readBytes(request, mostOf(headers)));
  if ("batch" in arrived) return answerToBatch(arrived.batch, wanted, instances);
  return answerTo(expand(await instances.send(wanted(arrived.event))));
}

export interface WebhookDoor {
  instances: Instances;
  allowances: Allowances;
  settings: WebhookSettings;
  /** `traceparent` to go on with. */
  trace: string;
}

/** `POST /events`: signed CloudEvents, whose subjects name the instances. */
export async function webhook(
  request: Request,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  { instances, allowances, settings, trace }: WebhookDoor,
): Promise<Response> {
  const { headers } = request;
  const body = await readBytes(request, mostOf(headers));
  const caller = authenticateWebhook(headers, body, settings);
  await allowances.take(caller.tenant, "requests", 1);
  const wanted = (received: ReceivedEvent) => requestOf(workflows, received, { caller, trace });
  const arrived = readCloudEvents(headers, body);
  if ("batch" in arrived) return answerToBatch(arrived.batch, wanted, instances);
  return answerTo(await instances.send(wanted(arrived.event)));
}

function mostOf(headers: Headers): number {
  const isBatch = mediaType(headers.get("content-type")).startsWith(
    "application/cloudevents-batch",
  );
  return isBatch ? MAX_BATCH_BYTES : MAX_EVENT_BYTES;
}

/** 202 where the event is kept for later. */
function answerTo(reply: SendReply): Response {
  const { json, deferred } = granted(reply);
  return jsonResponse(json, deferred ? 202 : 200);
}

type Batch = Extract<Arrived, { batch: unknown }>["batch"];

/**
 * Answers for each event of a batch, in its order: 200 where all are taken, else 207. Those of one
 * instance go there together, in their order.
 */
async function answerToBatch(
  batch: Batch,
  wanted: (received: ReceivedEvent) => SendRequest,
  instances: Instances,
): Promise<Response> {
  const outcomes = new Map<Batch[number], Receipt>();
  const asked: { one: ReceivedEvent; request: SendRequest }[] = [];
  for (const one of batch) {
    if ("problem" in one) {
      outcomes.set(one, { ok: false, problem: one.problem });
      continue;
    }
    try {
      asked.push({ one, request: wanted(one) });
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      outcomes.set(one, { ok: false, problem: error.problem });
    }
  }
  // Before any goes out: who is refused must not find part of it done.
  await instances.admit(asked.map(({ request }) => request));
  const byInstance = Map.groupBy(asked, ({ request: { address } }) => JSON.stringify(address));
  await Promise.all(
    [...byInstance.values()].map(async (group) => {
      const receipts = await instances.sendAll(group.map(({ request }) => request));
      for (const [index, { one }] of group.entries()) outcomes.set(one, receipts[index]!);
    }),
  );
  const results = batch.map((one) => answerFor(one, outcomes.get(one)!));
  const status = results.every((result) => !("problem" in result)) ? 200 : 207;
  return jsonResponse(JSON.stringify({ results }), status);
}

function answerFor(one: Batch[number], receipt: Receipt) {
  const named = "problem" in one ? {} : { source: one.source, id: one.id };
  if (!receipt.ok) return { ...named, problem: receipt.problem };
  const { ok: _, ...outcome } = receipt;
  return { ...named, ...outcome };
}

/** Requests a minute that a sender of webhooks is asked to keep to, unless WEBHOOK_RATE says otherwise. */
const DEFAULT_RATE = 120;

/**
 * `OPTIONS /events`: the abuse protection of "HTTP 1.1 Web Hooks for Event Delivery" 1.0.2, section 4.
 * That a sender is allowed says nothing of what it sends: each delivery is signed.
 */
export function handshake(request: Request, settings: WebhookSettings): Response {
  const origin = request.headers.get("webhook-request-origin");
  if (origin === null || !/^[A-Za-z0-9.-]{1,253}$/.test(origin)) {
    const detail = "Name the sender's DNS name in WebHook-Request-Origin.";
    throw refusal("bad-parameter", detail, { field: "WebHook-Request-Origin" });
  }
  const asked = request.headers.get("webhook-request-rate");
  if (asked !== null && !/^[1-9]\d{0,8}$/.test(asked)) {
    const detail = "WebHook-Request-Rate is a number of requests a minute.";
    throw refusal("bad-parameter", detail, { field: "WebHook-Request-Rate" });
  }
  if (!settings.WEBHOOK_SENDERS) throw new ProblemError(closed());
  const most = Number(settings.WEBHOOK_RATE ?? DEFAULT_RATE);
  const rate = asked === null ? most : Math.min(Number(asked), most);
  return new Response(null, {
    status: 200,
    headers: {
      Allow: "POST, OPTIONS",
      "WebHook-Allowed-Origin": origin,
      "WebHook-Allowed-Rate": String(rate),
    },
  });
}

function closed(): Problem {
  return problem("not-configured", "WEBHOOK_SENDERS is not set: no webhook gets in.");
}
