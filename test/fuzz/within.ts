import { createHmac } from "node:crypto";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { signedContent } from "../../src/ingress/signed-content.ts";
import type { Secrets } from "../../src/cli/secrets.ts";
import type { Ask, Role } from "./ask.ts";
import { IDLE, phases, USED_KEY, type Phase, type Population } from "./population.ts";
import type { Route } from "./routes.ts";

/** What requests are made of. */
export interface World {
  population: Population;
  secrets: Secrets;
}

/** Part of a request; the rest is the route's. */
type Part = Partial<Omit<Ask, "raw">> & { json?: unknown };
type Parts = fc.Arbitrary<Part>;

const JSON_TYPE = ["Content-Type", "application/json"] as const;

/** Few, since each makes an object in memory. */
const strangers = ["nobody-1", "nobody-2", "nobody-3", "nobody.4", "nobody~5"];
const anyPhase = fc.constantFrom<Phase>(...phases);
const words = fc.string({ unit: "binary", maxLength: 30 });
const nonsense = fc.jsonValue({ maxDepth: 2 });
const roles = fc.constantFrom<Role>("customer", "other", "service", "operator", "nobody");
const readers = fc.constantFrom<Role>("customer", "other", "service", "operator");

/** Customers' events that an order in this phase doesn't take, with data that is right. */
const notNow: Partial<Record<Phase, readonly string[]>> = {
  ordering: ["CONFIRM_PIZZA", "RETRY", "REMOVE_PIZZA"],
  chosen: ["RETRY", "REMOVE_PIZZA", "ADD_PIZZA"],
  baking: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY"],
  oven: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  "kitchen-failed": ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA"],
  delivering: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  "delivery-failed": ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA"],
  delivered: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  cancelled: ["ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA", "RETRY", "CANCEL_ORDER"],
  scheduled: ["ADD_PIZZA", "CONFIRM_PIZZA"],
  erased: ["ADD_PIZZA", "CANCEL_ORDER"],
};
const ofStations = ["PIZZA_IN_OVEN", "PIZZA_READY", "PIZZA_DELIVERED"];
const dataOf = (type: string, id: string): unknown =>
  type === "ADD_PIZZA"
    ? { id: "p1", pizza: "mango-tango" }
    : type === "REMOVE_PIZZA"
      ? { id: `q${id.replaceAll(/[^A-Za-z0-9]/g, "")}`.slice(0, 60) }
      : undefined;

interface Sent {
  as: Role;
  id: string;
  type: string;
  data: unknown;
  key?: string;
}

/** An event that reaches an instance and can't be taken by it. */
const refusedEvents: fc.Arbitrary<Sent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .constantFrom(
        ...Object.entries(notNow).flatMap(([id, types]) =>
          types.map((type) => [id, type] as const),
        ),
      )
      .chain(([id, type]) =>
        fc.record({
          as: fc.constant<Role>("customer"),
          id: fc.constant<string>(id),
          type: fc.constant(type),
          data: words.map((word) => dataOf(type, word)),
        }),
      ),
  },
  fc.record({
    as: fc.constantFrom<Role>("customer"),
    id: anyPhase as fc.Arbitrary<string>,
    type: fc.constantFrom(...ofStations),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: fc.constant<Role>("other"),
    id: anyPhase as fc.Arbitrary<string>,
    type: fc.constantFrom("CANCEL_ORDER", "RETRY", "CONFIRM_PIZZA"),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: readers,
    id: fc.constantFrom(...strangers),
    type: fc.constantFrom("CANCEL_ORDER", ...ofStations),
    data: fc.constant(undefined),
  }),
  fc.record({
    as: fc.constant<Role>("customer"),
    id: fc.constant("chosen"),
    type: fc.constant("ADD_PIZZA"),
    data: fc.constantFrom(
      { id: "p1", pizza: "coconut-dream" },
      { id: "p1", pizza: "banana-curry" },
    ),
    key: fc.constant(USED_KEY),
  }),
);

/** What a door sees through: an event's type or data that the table doesn't have. */
const strangeEvents: fc.Arbitrary<Sent> = fc.record({
  as: readers,
  id: anyPhase as fc.Arbitrary<string>,
  type: fc.oneof(
    words.map((word) => `${word}!`),
    fc.constantFrom(
      "*",
      "xstate.init",
      "xstate.done.actor.0",
      "xstate.stop",
      "toString",
      "__proto__",
    ),
  ),
  data: nonsense,
});

const wrongData: fc.Arbitrary<Sent> = fc.record({
  as: readers,
  id: anyPhase as fc.Arbitrary<string>,
  type: fc.constantFrom(
    "ADD_PIZZA",
    "REMOVE_PIZZA",
    "CONFIRM_PIZZA",
    "PIZZA_FAILED",
    "CANCEL_ORDER",
  ),
  data: nonsense.map((value) => ({ unknown: value })),
});

const eventOf = ({ type, data }: Sent) => (data === undefined ? { type } : { type, data });
const cloudEvent = (sent: Sent, id: string, more: object = {}) => ({
  ...{ specversion: "1.0", source: "//fuzz", id: `e-${id}`, ...eventOf(sent) },
  ...more,
});
const letters = fc.string({ unit: fc.constantFrom(..."abcdefghij"), minLength: 1, maxLength: 12 });
const addressed = (sent: Sent): Part => ({
  as: sent.as,
  path: `/orders/${sent.id}/events`,
  headers: sent.key === undefined ? [JSON_TYPE] : [JSON_TYPE, ["Idempotency-Key", sent.key]],
});

const sentEvents: Parts = fc.oneof(
  {
    weight: 6,
    arbitrary: refusedEvents.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })),
  },
  {
    weight: 1,
    arbitrary: strangeEvents.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })),
  },
  { weight: 1, arbitrary: wrongData.map((sent) => ({ ...addressed(sent), json: eventOf(sent) })) },
  {
    weight: 2,
    arbitrary: fc.tuple(refusedEvents, letters).map(([sent, id]) => ({
      ...addressed(sent),
      headers: [["Content-Type", "application/cloudevents+json"]] as const,
      json: cloudEvent({ ...sent, as: sent.as }, id, { subject: `orders/${sent.id}` }),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(refusedEvents, fc.array(letters, { maxLength: 5 })).map(([sent, ids]) => ({
      ...addressed(sent),
      headers: [["Content-Type", "application/cloudevents-batch+json"]] as const,
      json: ids.map((id) => cloudEvent(sent, id)),
    })),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(refusedEvents, letters, words).map(([sent, id, word]) => ({
      ...addressed(sent),
      headers: [
        ["ce-specversion", "1.0"],
        ["ce-id", id],
        ["ce-source", "//fuzz"],
        ["ce-type", sent.type],
        ["ce-extension", encodeURIComponent(word.toWellFormed())],
        JSON_TYPE,
      ] as const,
      ...(sent.data === undefined ? {} : { json: sent.data }),
    })),
  },
);

/** Operations that change nothing of what they are asked of. */
const idleOperations: Record<string, { ids: readonly Phase[]; body: fc.Arbitrary<unknown> }> = {
  pause: { ids: ["paused", "delivered", "cancelled", "erased", "scheduled"], body: reasons() },
  resume: { ids: phases.filter((id) => id !== "paused"), body: reasons() },
  terminate: { ids: ["delivered", "cancelled", "erased"], body: reasons() },
  cancel: {
    ids: ["oven", "delivering", "delivered", "cancelled", "erased"],
    body: fc.constant({}),
  },
  retry: {
    ids: phases.filter((id) => id !== "scheduled"),
    body: words.map((word) => ({ incident: `none:${word}` })),
  },
  discard: { ids: phases, body: words.map((word) => ({ incident: word })) },
  rewind: {
    ids: phases,
    body: fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER }).map((to) => ({ to })),
  },
  migrate: { ids: phases, body: words.map((word) => ({ to: `none-${word}` })) },
  erase: {
    ids: ["ordering", "chosen", "baking", "oven", "kitchen-failed", "delivering", "erased"],
    body: fc.constantFrom({}, { force: false }, { force: true }),
  },
  archive: {
    ids: phases,
    body: fc.integer({ min: 1_000, max: Number.MAX_SAFE_INTEGER }).map((keep) => ({ keep })),
  },
};

function reasons(): fc.Arbitrary<unknown> {
  return words.map((word) => ({ reason: word.slice(0, 400) }));
}

const operationsOf = (name: string): Parts => {
  const { ids, body } = idleOperations[name]!;
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom<string>(...ids, ...strangers), body)
        .map(([id, json]) => ({
          ...{ as: "operator" as const, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json },
        })),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.constantFrom<Role>("customer", "other", "service"), anyPhase, body)
        .map(([as, id, json]) => ({
          ...{ as, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json },
        })),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(roles, anyPhase, nonsense).map(([as, id, json]) => ({
        ...{ as, path: `/orders/${id}/${name}`, headers: [JSON_TYPE], json: { unknown: json } },
      })),
    },
  );
};

const supposed = fc.oneof(
  refusedEvents.map(eventOf),
  fc.record({ type: fc.constantFrom("ADD_PIZZA", "CONFIRM_PIZZA", "PIZZA_READY"), data: nonsense }),
  strangeEvents.map(eventOf),
  fc.double({ min: 0, max: 315_576_000_000, noNaN: true }).map((advance) => ({ advance })),
  fc.record({ actor: words, output: nonsense }),
  fc.record({ actor: words, error: fc.record({ name: words, message: words }) }),
);

const hexadecimal = (length: number) =>
  fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });

/** Ids of objects that nobody has: few, since each that is woken takes memory. */
const objectIds = fc.constantFrom(..."0123456789").map((digit) => digit.repeat(64));

const bodyless = (paths: fc.Arbitrary<string>, as: fc.Arbitrary<Role> = readers): Parts =>
  fc.record({ as, path: paths });
const numbers = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map(String),
  fc.constantFrom("-1", "1e3", "0x10", "99999999999999999999", "1.5", "", " 1", "+1", "١", "NaN"),
);
const knownIds = fc.constantFrom<string>(...phases, ...strangers);
const queries = fc
  .array(
    fc.tuple(
      fc.constantFrom(
        ...["status", "state", "version", "incident", "owner", "attribute.customer", "limit"],
        ...["createdAfter", "createdBefore", "cursor", "counts", "attribute.$x", "x", "origin"],
      ),
      fc.oneof(words, numbers, fc.constantFrom("active", "true", "2026-11-22", "any", "bakePizza")),
    ),
    { maxLength: 4 },
  )
  .map((pairs) =>
    new URLSearchParams(pairs.map(([name, value]) => [name, value.toWellFormed()])).toString(),
  );

/** What each route is asked for that comes to an object and does nothing there. By method and path. */
export function within(world: World): Record<string, Parts> {
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
  const operating = Object.keys(idleOperations).map(
    (name) => [`POST /:workflow/:id/${name}`, operationsOf(name)] as const,
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
    ...Object.fromEntries([...operating, ...stations]),
    "POST /:workflow/:id/events": sentEvents,
    "POST /:workflow": fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          as: fc.constantFrom<Role>("customer", "other"),
          path: fc.constant("/orders"),
          headers: fc.constant([JSON_TYPE]),
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

function auth(login: { username: string; password: string }): Record<string, Parts> {
  const post = (
    name: string,
    json: fc.Arbitrary<unknown>,
    as: fc.Arbitrary<Role | null> = fc.constant(null),
  ): Parts =>
    fc.record({ as, path: fc.constant(`/auth/${name}`), headers: fc.constant([JSON_TYPE]), json });
  const visible = hexadecimal(43);
  const administrators = fc.constantFrom<Role>("administrator", "administrator", "operator");
  const clients = fc.oneof(
    hexadecimal(10),
    words.map((word) => encodeURIComponent(word.toWellFormed()) || "x"),
  );
  const bare = (paths: fc.Arbitrary<string>): Parts =>
    fc.record({ as: administrators, path: paths });
  return {
    "POST /auth/register": post(
      "register",
      words.map((word) => ({ ...login, password: word.slice(0, 3) })),
    ),
    "POST /auth/login": post("login", fc.record({ username: words, password: words })),
    "POST /auth/refresh": post(
      "refresh",
      visible.map((token) => ({ refresh_token: token })),
    ),
    "POST /auth/logout": post(
      "logout",
      visible.map((token) => ({ refresh_token: token })),
    ),
    "POST /auth/token": post(
      "token",
      fc.record({
        grant_type: fc.constant("client_credentials"),
        client_id: fc.oneof(fc.constantFrom("local-staff"), hexadecimal(12)),
        client_secret: visible,
      }),
    ),
    // Of another tenant: the body may get lost, and then it is a good request.
    "POST /auth/keys/rotate": post(
      "keys/rotate",
      fc.constantFrom({}, { withdraw: true }),
      administrators,
    ).chain((part) => fc.integer({ min: 1, max: IDLE }).map((tenant) => ({ ...part, tenant }))),
    "POST /auth/revoke": post(
      "revoke",
      fc.oneof(
        fc
          .constantFrom("username", "subject", "session")
          .chain((name) => words.map((word) => ({ [name]: `none-${word}` }))),
        nonsense,
      ),
      administrators,
    ),
    "POST /auth/clients": post(
      "clients",
      fc.record({ id: clients, roles: nonsense.map((value) => [value, 1]) }),
      administrators,
    ),
    "GET /auth/clients": bare(queries.map((query) => `/auth/clients?${query}`)),
    "DELETE /auth/clients/:id": bare(clients.map((id) => `/auth/clients/none-${id}`)),
    "POST /auth/clients/:id/secrets": bare(clients.map((id) => `/auth/clients/none-${id}/secrets`)),
    "DELETE /auth/clients/:id/secrets/:name": bare(
      clients.map((id) => `/auth/clients/none-${id}/secrets/${id}`),
    ),
  };
}

/** CloudEvents that are signed as they should be, about what isn't there or isn't theirs. */
function signedEvents({ secrets }: World, about: string, path: string): Parts {
  const signer = new Webhook(secrets.webhookSecret);
  return fc
    .record({
      id: letters,
      isRight: fc.integer({ min: 0, max: 9 }).map((one) => one > 0),
      event: fc.oneof(
        {
          weight: 4,
          arbitrary: fc.record({
            subject: fc.constantFrom(...strangers).map((id) => `${about}/${id}`),
            type: fc.constantFrom("CANCEL_ORDER", ...ofStations),
          }),
        },
        {
          weight: 3,
          arbitrary: fc.record({
            subject: anyPhase.map((id) => `${about}/${id}`),
            type: fc.constantFrom("CANCEL_ORDER", "RETRY", "CONFIRM_PIZZA"),
          }),
        },
        { weight: 2, arbitrary: fc.record({ subject: words, type: words, data: nonsense }) },
      ),
    })
    .map(({ id, event, isRight }) => {
      const text = JSON.stringify({ specversion: "1.0", id, source: "//fuzz", ...event });
      const type = "application/cloudevents+json";
      const at = new Date();
      const signature = signer.sign(
        id,
        at,
        signedContent(new Headers({ "Content-Type": type }), text),
      );
      return {
        as: null,
        path,
        body: Buffer.from(text),
        headers: [
          ["Content-Type", type],
          ["webhook-id", id],
          ["webhook-timestamp", String(Math.floor(at.getTime() / 1_000))],
          ["webhook-signature", isRight ? signature : `v1,${id}`],
        ] as const,
      };
    });
}

function signedHooks({ secrets }: World): Parts {
  return fc
    .record({
      isRight: fc.integer({ min: 0, max: 9 }).map((one) => one > 0),
      body: fc.oneof(
        {
          weight: 6,
          arbitrary: fc.record({
            id: letters,
            type: fc.constantFrom("payment.captured", "payment.failed", "payment.refunded"),
            data: fc.record({
              reference: fc.constantFrom(...strangers),
              amount: fc.constantFrom(1, Number.MAX_SAFE_INTEGER),
              currency: fc.constantFrom("eur", "usd"),
            }),
          }),
        },
        {
          weight: 2,
          arbitrary: fc.record({
            id: letters,
            type: words,
            data: fc.record({ reference: words, amount: nonsense }),
          }),
        },
        { weight: 1, arbitrary: nonsense },
      ),
    })
    .map(({ body, isRight }) => {
      const text = JSON.stringify(body);
      const at = Math.floor(Date.now() / 1_000);
      const code = createHmac("sha256", secrets.paymentSecret)
        .update(`${at}.${text}`)
        .digest("hex");
      return {
        ...{ as: null, path: "/hooks/payments", body: Buffer.from(text) },
        headers: [
          JSON_TYPE,
          ["Payment-Signature", `t=${at},v1=${isRight ? code : "0".repeat(64)}`],
        ] as const,
      };
    });
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
