import * as fc from "fast-check";
import type { Ask, Role } from "./ask.ts";
import { api } from "./api.ts";
import { auth } from "./auth.ts";
import { sentEvents } from "./events.ts";
import { operating, supposed } from "./operations.ts";
import {
  anyPhase,
  bodyless,
  hexadecimal,
  JSON_TYPE,
  knownIds,
  nonsense,
  numbers,
  queries,
  readers,
  roles,
  strangers,
  words,
  type Parts,
  type World,
} from "./parts.ts";
import { IDLE } from "./population.ts";
import type { Route } from "./routes.ts";
import { signedEvents, signedHooks } from "./signed.ts";

/** Ids of objects that nobody has: few, since each that is woken takes memory. */
const objectIds = fc.constantFrom(...Array.from("0123456789")).map((digit) => digit.repeat(64));

/** What each route is asked for that comes to an object and does nothing there. By method and path. */
function within(world: World): Record<string, Parts> {
  const own = withinOwn(world);
  const behindApi = (route: string, from: string, to: string): Parts =>
    own[route]!.map((part) => ({ ...part, path: part.path?.replace(from, to) ?? to }));
  return {
    ...own,
    "GET /api/log": behindApi("GET /orderlog/log", "/orderlog/log", "/api/log"),
    "GET /api/kitchen/pending": behindApi("GET /kitchen/pending", "/kitchen", "/api/kitchen"),
    "POST /api/kitchen/finish-next": behindApi(
      ...(["POST /kitchen/finish-next", "/kitchen", "/api/kitchen"] as const),
    ),
  };
}

function withinOwn(world: World): Record<string, Parts> {
  const { endpoint, login } = world.population;
  const endpoints = fc.oneof(
    words.map((word) => `ep_${encodeURIComponent(word.toWellFormed())}`),
    hexadecimal(20).map((text) => `ep_${text}`),
  );
  const letterIds = fc.oneof(
    hexadecimal(32),
    anyPhase.map((id) => `parked~orders~effect%253A1~${id}`),
    words.map((word) => encodeURIComponent(word.toWellFormed()).replaceAll(/^\.+$/g, "x") || "x"),
  );
  const ofLetters = (path: (id: string) => string): Parts =>
    bodyless(
      letterIds.map(path),
      fc.constantFrom<Role>("letters", "letters", "letters", "operator"),
    );
  const ofEndpoints = (path: (id: string) => string): Parts =>
    bodyless(
      endpoints.map(path),
      fc.constantFrom<Role>("operator", "operator", "operator", "customer"),
    );
  const idle = (path: string): Parts =>
    fc.record({
      as: fc.constantFrom<Role>("service", "operator", "service", "customer"),
      tenant: fc.constant(IDLE),
      path: fc.constant(path),
      headers: fc.constant([JSON_TYPE]),
      json: path.includes("fail") ? words.map((word) => ({ reason: `x${word}` })) : fc.constant({}),
    });
  const stations = ["kitchen", "delivery"].flatMap((station) => [
    [
      `GET /${station}/pending`,
      bodyless(
        queries.map((query) => `/${station}/pending?${query}`),
        fc.constantFrom<Role>("service", "operator", "customer"),
      ),
    ] as const,
    ...["begin-next", "finish-next", "fail-next"].map(
      (name) => [`POST /${station}/${name}`, idle(`/${station}/${name}`)] as const,
    ),
    [
      `POST /${station}/events`,
      signedEvents(world, "tropical/none", `/${station}/events`),
    ] as const,
  ]);
  return {
    ...operating,
    ...Object.fromEntries(stations),
    "POST /:workflow/:id/events": sentEvents,
    "POST /:workflow": fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          as: fc.constantFrom<Role>("customer", "other"),
          path: fc.constant("/orders"),
          headers: fc.constant([JSON_TYPE]),
          isKeyless: fc.constant(true),
          json: fc
            .tuple(anyPhase, words)
            .map(([id, word]) => ({ id, input: { deliverTo: `x${word}` } })),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          as: readers,
          path: fc.constantFrom("/orders", "/payments"),
          headers: fc.constant([JSON_TYPE]),
          isKeyless: fc.constant(true),
          json: fc
            .tuple(anyPhase, nonsense)
            .map(([id, input]) => ({ id, input: { unknown: input } })),
        }),
      },
    ),
    "GET /:workflow": bodyless(queries.map((query) => `/orders?${query}`)),
    "GET /:workflow/:id": bodyless(
      fc.tuple(knownIds, queries).map(([id, query]) => `/orders/${id}?${query}`),
    ),
    "GET /:workflow/:id/history": bodyless(
      fc
        .tuple(knownIds, numbers, numbers)
        .map(
          ([id, after, limit]) =>
            `/orders/${id}/history?after=${encodeURIComponent(after)}&limit=${encodeURIComponent(limit) || 1}`,
        ),
    ),
    "GET /:workflow/:id/history/:seq": bodyless(
      fc
        .tuple(knownIds, numbers)
        .map(([id, seq]) => `/orders/${id}/history/${encodeURIComponent(seq) || 7}`),
    ),
    "GET /:workflow/:id/verify": bodyless(
      knownIds.map((id) => `/orders/${id}/verify`),
      fc.constantFrom<Role>("operator", "operator", "customer"),
    ),
    "POST /:workflow/:id/simulate": fc.record({
      as: readers,
      path: knownIds.map((id) => `/orders/${id}/simulate`),
      headers: fc.constant([JSON_TYPE]),
      json: fc.record(
        { suppose: fc.array(supposed, { maxLength: 4 }), from: fc.integer({ min: 1, max: 30 }) },
        { requiredKeys: ["suppose"] },
      ),
    }),
    "GET /:workflow/:id/stream": bodyless(
      fc
        .tuple(knownIds, numbers, queries)
        .map(
          ([id, after, query]) =>
            `/orders/${id}/stream?after=${encodeURIComponent(after)}&${query}`,
        ),
    ),
    ...Object.fromEntries(
      ["PUT", "POST"].map((method) => [
        `${method} /:workflow/:id/payloads`,
        fc.record({
          as: fc.constantFrom<Role>("customer", "other", "operator"),
          // Where there is one, a payload would be kept.
          path: fc.constantFrom("erased", ...strangers).map((id) => `/orders/${id}/payloads`),
          headers: words.map(
            (word) => [["Content-Type", `text/${word.replaceAll(/[^a-z]/g, "") || "x"}`]] as const,
          ),
          body: fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        }),
      ]),
    ),
    "GET /:workflow/:id/payloads/:sha256": bodyless(
      fc.tuple(knownIds, hexadecimal(64)).map(([id, hash]) => `/orders/${id}/payloads/${hash}`),
    ),
    "POST /:workflow/:id/tickets": bodyless(knownIds.map((id) => `/orders/${id}/tickets`)),
    "GET /machines/:workflow/events/:type": bodyless(
      words.map(
        (word) => `/machines/orders/events/${encodeURIComponent(word.toWellFormed()) || "x"}`,
      ),
    ),
    "POST /events": signedEvents(world, "orders", "/events"),
    "POST /hooks/:name": signedHooks(world),
    "POST /operations/reindex": fc.record({
      as: fc.constantFrom<Role>("administrator", "administrator", "operator"),
      path: fc.constant("/operations/reindex"),
      headers: fc.constant([JSON_TYPE]),
      json: fc
        .array(objectIds, { maxLength: 5 })
        .map((ids) => ({ objects: ids.map((id) => ({ id })) })),
    }),
    "POST /webhooks": fc.record({
      as: fc.constantFrom<Role>("operator", "operator", "customer"),
      path: fc.constant("/webhooks"),
      headers: fc.constant([JSON_TYPE]),
      json: fc
        .oneof(
          fc.constantFrom(
            ...["http://example.com/", "https://127.0.0.1/", "https://[::1]/", "https://0x7f.1/"],
            ...[
              "https://localhost/",
              "https://a.internal/",
              "https://x:y@example.com/",
              "ftp://x.y/",
            ],
            ...["https://example.com:22/", "https://example/", "javascript:alert(1)", "https://1/"],
          ),
          words,
        )
        .map((url) => ({ url })),
    }),
    "GET /webhooks": bodyless(queries.map((query) => `/webhooks?${query}`)),
    "GET /webhooks/:id": ofEndpoints((id) => `/webhooks/${id}`),
    "DELETE /webhooks/:id": ofEndpoints((id) => `/webhooks/${id}`),
    "POST /webhooks/:id/rotate": ofEndpoints((id) => `/webhooks/${id}/rotate`),
    "POST /webhooks/:id/enable": ofEndpoints((id) => `/webhooks/${id}/enable`),
    "POST /webhooks/:id/disable": ofEndpoints((id) => `/webhooks/${id}/disable`),
    "GET /webhooks/:id/deliveries": fc.oneof(
      ofEndpoints((id) => `/webhooks/${id}/deliveries`),
      bodyless(
        numbers.map(
          (after) => `/webhooks/${endpoint}/deliveries?after=${encodeURIComponent(after)}`,
        ),
        fc.constant("operator"),
      ),
    ),
    "POST /webhooks/:id/deliveries/:delivery/retry": ofEndpoints(
      (id) => `/webhooks/${endpoint}/deliveries/${id}/retry`,
    ),
    "DELETE /webhooks/:id/deliveries/:delivery": ofEndpoints(
      (id) => `/webhooks/${endpoint}/deliveries/${id}`,
    ),
    "GET /dead-letters": bodyless(
      fc
        .constantFrom(
          "status=dead",
          "origin=x",
          "limit=3",
          "cursor=1-a",
          "unowned=true",
          "origin=instance:orders/baking",
          "cursor=zzzzzzzzzzz-zz",
          "status=nothing",
          "limit=0",
        )
        .map((query) => `/dead-letters?${query}`),
      fc.constantFrom<Role>("letters", "letters", "operator"),
    ),
    "GET /dead-letters/:id": ofLetters((id) => `/dead-letters/${id}`),
    "DELETE /dead-letters/:id": ofLetters((id) => `/dead-letters/${id}`),
    "POST /dead-letters/:id/redrive": ofLetters((id) => `/dead-letters/${id}/redrive`),
    ...auth(login),
    ...api,
    "GET /orderlog/log": bodyless(
      fc
        .tuple(words, numbers)
        .map(
          ([order, after]) =>
            `/orderlog/log?order=${encodeURIComponent(`orders/${order.toWellFormed()}`)}&after=${encodeURIComponent(after)}`,
        ),
      fc.constantFrom<Role>("service", "operator", "customer"),
    ),
  };
}

const odd = ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "GET", "POST", "PROPFIND", "SEARCH"];

/** A request of a route: what is known to come to an object there, or else something harmless. */
export function asksOf(route: Route, world: World): fc.Arbitrary<Ask> {
  const { method, path, taken } = route;
  const known = within(world)[`${method} ${path}`];
  const methods = method === "ALL" ? odd.filter((one) => !taken.includes(one)) : [method];
  const filled: Parts = fc.tuple(knownIds, roles, words).map(([id, as, word]) => ({
    as,
    path: path
      .replace(":workflow", "orders")
      .replace(":id", id)
      .replace(/\*$/, `${encodeURIComponent(word.toWellFormed())}/nowhere/at/all`)
      .replaceAll(/:\w+/g, "x"),
    ...(["GET", "HEAD"].includes(method) ? {} : { headers: [JSON_TYPE], json: { unknown: word } }),
  }));
  return fc
    .tuple(known ?? filled, fc.integer({ min: 0, max: IDLE - 1 }), fc.constantFrom(...methods))
    .map(([{ json, ...part }, tenant, method]) => {
      const body = json === undefined ? part.body : Buffer.from(JSON.stringify(json));
      const isBodyless = method === "GET" || method === "HEAD";
      return {
        ...{ tenant, as: null, path, method, headers: [], ...part },
        ...(body === undefined || isBodyless ? {} : { body }),
      } as Ask;
    });
}
