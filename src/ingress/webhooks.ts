import type { IRequest } from "itty-router";
import * as v from "valibot";
import { isOperator } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { realmOf } from "../contract/realm.ts";
import {
  webhooksOf,
  type WebhookReply,
  type WebhooksCalls,
  type WebhookScope,
} from "../contract/webhooks.ts";
import { validate } from "../instance/validate.ts";
import type { Allowances } from "../tenants/allowances.ts";
import { admit } from "./admit.ts";
import { readJson, readOptionalJson } from "./body.ts";
import { wholeNumber } from "./query.ts";
import { granted, jsonResponse } from "./respond.ts";
import type { TokenSettings } from "./token.ts";

const MAX_TYPES = 50;
const MAX_LIMIT = 1_000;
const DEFAULT_LIMIT = 100;
const MAX_ROTATION_HOURS = 720;
const DEFAULT_ROTATION_HOURS = 24;

const type = v.pipe(
  v.string(),
  v.regex(/^[^\s*]{1,200}\*?$|^\*$/, "A type, or its beginning and *"),
);

const endpointBody = v.strictObject({
  url: v.string(),
  types: v.optional(v.pipe(v.array(type), v.minLength(1), v.maxLength(MAX_TYPES))),
  description: v.optional(v.pipe(v.string(), v.maxLength(500))),
});

const rotateBody = v.optional(
  v.strictObject({
    hours: v.optional(
      v.pipe(v.number(), v.minValue(0), v.maxValue(MAX_ROTATION_HOURS)),
      DEFAULT_ROTATION_HOURS,
    ),
  }),
  {},
);

const nothing = v.optional(v.strictObject({}), {});

interface Ask {
  request: Request;
  webhooks: WebhooksCalls;
  scope: WebhookScope;
  id: string;
  delivery: string;
}

type Handle = (ask: Ask) => Promise<Response>;

/** @throws ProblemError unauthenticated, forbidden, not-configured */
async function asked(incoming: IRequest, env: TokenSettings, allowances: Allowances): Promise<Ask> {
  const request = incoming as unknown as Request;
  const caller = await admit(request, env, allowances);
  if (!isOperator(caller)) throw refusal("forbidden", "Webhook endpoints are for operators.");
  const scope = realmOf(caller);
  const { id = "", delivery = "" } = incoming.params as Record<string, string>;
  const webhooks = webhooksOf(env, scope);
  if (webhooks === undefined) {
    throw refusal("not-configured", "Bind the object class Webhooks as WEBHOOKS.");
  }
  return { request, webhooks, scope, id, delivery };
}

const answer = (value: unknown, status = 200, headers?: Record<string, string>): Response =>
  jsonResponse(JSON.stringify(value), status, headers);

const valueOf = <Value>(reply: WebhookReply<Value>): Value => granted(reply).value;

/** `POST /webhooks` */
const register: Handle = async ({ request, webhooks, scope }) => {
  const body = validate(endpointBody, await readJson(request), "");
  const endpoint = valueOf(await webhooks.register(scope, body));
  return answer(endpoint, 201, { Location: `/webhooks/${endpoint.id}` });
};

/** `GET /webhooks` */
const list: Handle = async ({ webhooks, scope }) =>
  answer({ endpoints: await webhooks.endpoints(scope) });

/** `GET /webhooks/{id}` */
const show: Handle = async ({ webhooks, scope, id }) =>
  answer(valueOf(await webhooks.endpoint(scope, id)));

/** `DELETE /webhooks/{id}` */
const remove: Handle = async ({ webhooks, scope, id }) => {
  valueOf(await webhooks.remove(scope, id));
  return new Response(null, { status: 204 });
};

/** `POST /webhooks/{id}/rotate` */
const rotate: Handle = async ({ request, webhooks, scope, id }) => {
  const { hours } = validate(rotateBody, await readOptionalJson(request), "");
  return answer(valueOf(await webhooks.rotate(scope, id, hours ?? DEFAULT_ROTATION_HOURS)));
};

/** `POST /webhooks/{id}/enable` */
const enable: Handle = async ({ request, webhooks, scope, id }) => {
  validate(nothing, await readOptionalJson(request), "");
  return answer(valueOf(await webhooks.enable(scope, id)));
};

/** `POST /webhooks/{id}/disable` */
const disable: Handle = async ({ request, webhooks, scope, id }) => {
  validate(nothing, await readOptionalJson(request), "");
  return answer(valueOf(await webhooks.disable(scope, id)));
};

/** `GET /webhooks/{id}/deliveries` */
const deliveries: Handle = async ({ request, webhooks, scope, id }) => {
  const query = new URL(request.url).searchParams;
  const after = wholeNumber(query, "after", 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const limit = wholeNumber(query, "limit", 1, MAX_LIMIT) ?? DEFAULT_LIMIT;
  const found = valueOf(await webhooks.deliveries(scope, id, { after, limit }));
  const last = found.log.length < limit ? undefined : found.log.at(-1);
  const next = `</webhooks/${id}/deliveries?after=${last?.position}&limit=${limit}>; rel="next"`;
  return answer(found, 200, last === undefined ? {} : { Link: next });
};

/** `POST /webhooks/{id}/deliveries/{delivery}/retry` */
const retry: Handle = async ({ request, webhooks, scope, id, delivery }) => {
  validate(nothing, await readOptionalJson(request), "");
  return answer(valueOf(await webhooks.retry(scope, delivery, id)));
};

/** `DELETE /webhooks/{id}/deliveries/{delivery}` */
const discard: Handle = async ({ webhooks, scope, id, delivery }) =>
  answer(valueOf(await webhooks.discard(scope, delivery, id)));

const one = "/webhooks/:id";

/** Method and path → what is done. Every route is for operators. */
export const webhookRoutes = (
  [
    ["POST", "/webhooks", register],
    ["GET", "/webhooks", list],
    ["GET", one, show],
    ["DELETE", one, remove],
    ["POST", `${one}/rotate`, rotate],
    ["POST", `${one}/enable`, enable],
    ["POST", `${one}/disable`, disable],
    ["GET", `${one}/deliveries`, deliveries],
    ["POST", `${one}/deliveries/:delivery/retry`, retry],
    ["DELETE", `${one}/deliveries/:delivery`, discard],
  ] as const
).map(([method, path, handle]) => ({
  method,
  path,
  handle: async (
    request: IRequest,
    env: TokenSettings,
    allowances: Allowances,
  ): Promise<Response> => handle(await asked(request, env, allowances)),
}));
