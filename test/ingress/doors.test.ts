import { createExecutionContext } from "cloudflare:test";
import { DurableObject, env, exports, WorkerEntrypoint } from "cloudflare:workers";
import { SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import * as auth from "../../services/auth/worker.ts";
import * as avatars from "../../services/avatars/worker.ts";
import * as catalog from "../../services/catalog/worker.ts";
import * as chat from "../../services/chat/worker.ts";
import * as delivery from "../../services/delivery/worker.ts";
import * as gateway from "../../services/gateway/worker.ts";
import * as kitchen from "../../services/kitchen/worker.ts";
import * as mailer from "../../services/mailer/worker.ts";
import * as orderlog from "../../services/orderlog/worker.ts";
import * as support from "../../services/support/worker.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { Instances } from "../../src/ingress/instances.ts";
import { Door } from "../../src/instance/door.ts";
import * as product from "../../src/worker.ts";
import { call, customer, freshId, operator, start, tokenFor } from "../support/client.ts";

const { Broker, Destination, Instance, Tenant, Webhooks, WorkflowsEntrypoint } = product;

const routes: [string, string][] = [
  ["POST", "/orders"],
  ["GET", "/orders"],
  ["GET", "/orders/x"],
  ["DELETE", "/orders/x"],
  ["POST", "/orders/x/events"],
  ["GET", "/orders/x/history"],
  ["GET", "/orders/x/stream"],
  ["POST", "/events"],
  ["GET", "/events"],
  ["POST", "/healthz"],
  ["GET", "/"],
  ["GET", "/nowhere/at/all/here"],
  ["GET", "/machines"],
];

describe("without credentials", () => {
  it.each(routes)("%s %s is 401", async (method, path) => {
    const answer = await call(method, path, { as: null });
    expect(answer).toMatchObject({
      status: 401,
      body: { type: "urn:durachart:problem:unauthenticated", status: 401 },
    });
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
  });

  it("/healthz alone is open", async () => {
    expect(await call("GET", "/healthz", { as: null })).toMatchObject({ status: 200 });
  });
});

describe("a token", () => {
  const use = async (token: string) =>
    (
      await exports.default.fetch("https://durachart.test/orders/none", {
        headers: { Authorization: `Bearer ${token}` },
      })
    ).status;
  const past = Math.floor(Date.now() / 1_000) - 10;

  it("that is good gets in", async () => {
    expect(await use(await tokenFor(operator))).toBe(404);
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ["another issuer", { iss: "https://evil.test" }, {}],
    ["another audience", { aud: "elsewhere" }, {}],
    ["an end that has passed", { exp: past }, {}],
    ["a beginning yet to come", { nbf: past + 600 }, {}],
    ["another type", {}, { typ: "JWT" }],
    ["an unknown key", {}, { kid: "other" }],
    ["no tenant", { tenant: undefined }, {}],
    ["a tenant that is a path", { tenant: "a/b" }, {}],
    ["no roles", { roles: undefined }, {}],
    ["roles that are no list", { roles: "operator" }, {}],
    ["an unknown jurisdiction", { jurisdiction: "moon" }, {}],
  ])("of %s is refused", async (_, claims, header) => {
    expect(await use(await tokenFor(operator, claims, header))).toBe(401);
  });

  it("signed with nothing, or with the public key as a secret, is refused", async () => {
    const claims = { sub: "x", tenant: "tropical", roles: ["operator"] };
    const encode = (part: object) => btoa(JSON.stringify(part)).replace(/=+$/, "");
    const body = { ...claims, iss: env.TOKEN_ISSUER, aud: env.TOKEN_AUDIENCE, exp: past + 600 };
    expect(await use(`${encode({ alg: "none", typ: "at+jwt" })}.${encode(body)}.`)).toBe(401);
    const confused = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid: "test" })
      .setIssuer(env.TOKEN_ISSUER)
      .setAudience(env.TOKEN_AUDIENCE)
      .setExpirationTime("5m")
      .sign(new TextEncoder().encode(env.TOKEN_KEYS));
    expect(await use(confused)).toBe(401);
  });

  it("altered in one place is refused", async () => {
    const [header, , signature] = (await tokenFor(customer)).split(".");
    const [, payload] = (await tokenFor(operator)).split(".");
    expect(await use(`${header}.${payload}.${signature}`)).toBe(401);
  });

  it("cannot reach another tenant's instance", async () => {
    const id = await start("orders");
    const stranger = { ...operator, tenant: "elsewhere" };
    expect((await call("GET", `/orders/${id}`, { as: stranger })).status).toBe(404);
    expect((await call("POST", "/orders", { as: stranger, body: { id } })).status).toBe(201);
  });

  it("of a jurisdiction finds its object there, or nowhere", async () => {
    const named: string[] = [];
    const within = (where: string) => ({
      getByName: (name: string) => {
        named.push(`${where} ${name}`);
        return { get: () => Promise.resolve({ ok: true, value: {} }) };
      },
      jurisdiction: within,
    });
    const address = { tenant: "tropical", workflow: "orders", id: "o1" };
    const european = { ...operator, jurisdiction: "eu" as const };
    const instances = new Instances(within("anywhere") as unknown as DurableObjectNamespace);
    await instances.get({ address, caller: operator });
    await instances.get({ address, caller: european });
    expect(named).toEqual(["anywhere tropical/orders/o1", "eu tropical/orders/o1"]);
    // The local runtime knows no jurisdictions: it refuses, rather than put the data elsewhere.
    const local = await call("POST", "/orders", { as: european, body: { id: freshId() } });
    expect(local).toMatchObject({
      status: 503,
      body: { detail: expect.stringMatching(/no jurisdiction "eu"/) as string },
    });
  });
});

describe("an object", () => {
  it("checks the address and the tenant itself", async () => {
    const id = await start("orders");
    const stub = env.INSTANCES.getByName(`tropical/orders/${id}`);
    const address = { tenant: "tropical", workflow: "orders", id };
    const ask = stub.get as unknown as (request: object) => Promise<{ ok: boolean }>;
    expect(await ask({ address, caller: operator })).toMatchObject({ ok: true });
    const others = [
      { address: { ...address, id: "other" }, caller: operator },
      {
        address: { ...address, tenant: "elsewhere" },
        caller: { ...operator, tenant: "elsewhere" },
      },
      { address, caller: { ...operator, tenant: "elsewhere" } },
    ];
    for (const other of others) {
      expect(await ask(other)).toMatchObject({ ok: false, problem: { status: 404 } });
    }
  });

  it("refuses a caller of another jurisdiction than its own, where the platform says which that is", () => {
    const address = { tenant: "tropical", workflow: "orders", id: "o1" };
    const ask = (where: string | undefined, caller: Caller) => {
      const id = { name: "tropical/orders/o1", ...(where && { jurisdiction: where }) };
      new Door({ id } as never).checkAddress({ address, caller });
    };
    const european: Caller = { ...operator, jurisdiction: "eu" };
    for (const [where, caller] of [
      ["eu", operator],
      ["us", european],
    ] as const) {
      expect(() => ask(where, caller)).toThrow("There is no orders/o1");
    }
    for (const [where, caller] of [
      ["eu", european],
      [undefined, european],
      [undefined, operator],
    ] as const) {
      expect(() => ask(where, caller)).not.toThrow();
    }
  });
});

/** What can be called over RPC: every method on the prototypes, TypeScript's `private` or not. */
describe("What other Workers can call, and nothing else:", () => {
  const [platform, entrypoint] = [DurableObject.prototype, WorkerEntrypoint.prototype];
  const doors: Record<string, [type: { prototype: object }, methods: string[]]> = {
    Instance: [
      Instance,
      [
        ...["alarm", "archive", "erase", "fetch", "get", "history", "moment", "operate"],
        ...["receive", "send", "sendAll", "simulate", "start", "verify", "wake"],
        ...["webSocketClose", "webSocketError", "webSocketMessage"],
      ],
    ],
    Tenant: [Tenant, ["close", "lease", "open", "start"]],
    Webhooks: [
      Webhooks,
      [
        ...["alarm", "carry", "deliveries", "disable", "discard", "enable", "endpoint"],
        ...["endpoints", "eraseSubject", "parked", "receive", "register", "remove", "retry"],
        ...["rotate", "wake"],
      ],
    ],
    Destination: [Destination, ["enter", "leave"]],
    Broker: [Broker, ["alarm", "publish", "sendAgain", "wake"]],
    WorkflowsEntrypoint: [WorkflowsEntrypoint, ["deliver", "get", "send", "start"]],
    "the kitchen's Station": [kitchen.Station, ["alarm", "move", "pending", "receive"]],
    "the kitchen's Broker": [kitchen.Broker, ["alarm", "publish", "sendAgain", "wake"]],
    "the delivery's Station": [delivery.Station, ["alarm", "move", "pending", "receive"]],
    "the delivery's Broker": [delivery.Broker, ["alarm", "publish", "sendAgain", "wake"]],
    "the kitchen's Jobs": [kitchen.Jobs, ["move", "pending"]],
    "the delivery's Jobs": [delivery.Jobs, ["move", "pending"]],
    "the order log's Log": [orderlog.Log, ["entries"]],
    "the order log's Tail": [
      orderlog.Tail,
      ["alarm", "fetch", "poke", "webSocketClose", "webSocketMessage"],
    ],
    "the auth service's Auth": [
      auth.Auth,
      [
        ...[
          "addClient",
          "addSecret",
          "admit",
          "confirm",
          "deeds",
          "findPerson",
          "grantToClient",
          "keySet",
        ],
        ...[
          "listClients",
          "logIn",
          "logOut",
          "refresh",
          "register",
          "removeClient",
          "removeSecret",
          "revoke",
        ],
        ...["rotateKeys", "setRoles", "whoIs"],
      ],
    ],
    "the auth service's Addresses": [auth.Addresses, ["addressOf"]],
    "the auth service's Keys": [auth.Keys, ["published"]],
    "the avatars' Avatars": [avatars.Avatars, ["avatar"]],
    "the avatars' Drawing": [avatars.Drawing, ["draw"]],
    "the mailer's Mailbox": [mailer.Mailbox, ["isThere", "mails"]],
    "the catalog's Catalog": [
      catalog.Catalog,
      [...["picture", "products", "put", "putPicture", "remove", "search", "setStock"], "stock"],
    ],
    "the catalog's StockRoom": [
      catalog.StockRoom,
      ["confirm", "keep", "look", "release", "reserve"],
    ],
    "the catalog's Shelf": [
      catalog.Shelf,
      ["alarm", "confirm", "keep", "release", "reserve", "setStock", "stock"],
    ],
    "the chat's Chat": [chat.Chat, ["fetch", "summary"]],
    "the chat's Room": [
      chat.Room,
      [
        ...["alarm", "fetch", "history", "say", "summary"],
        ...["webSocketClose", "webSocketError", "webSocketMessage"],
      ],
    ],
    "the support's Support": [support.Support, ["ask", "documents", "submit"]],
    "the support's Library": [
      support.Library,
      ["admit", "claim", "documents", "forget", "search", "take", "withKeys"],
    ],
  };

  it.each(Object.entries(doors))("%s", (_, [type, methods]) => {
    const found = new Set<string>();
    let at = type.prototype;
    for (; at !== platform && at !== entrypoint; at = Object.getPrototypeOf(at) as object) {
      for (const name of Object.getOwnPropertyNames(at)) found.add(name);
    }
    found.delete("constructor");
    expect([...found].toSorted()).toEqual(methods);
  });

  it("every class that a Worker of the shop exports is looked at", () => {
    const exported = [
      product,
      kitchen,
      delivery,
      auth,
      avatars,
      catalog,
      chat,
      mailer,
      orderlog,
      gateway,
      support,
    ].flatMap((worker) =>
      Object.entries(worker).flatMap(([name, value]) => (name === "default" ? [] : [value])),
    );
    expect(exported.length).toBe(Object.keys(doors).length);
  });
});

describe("Answers", () => {
  it.each([
    ["GET", "/healthz", 200],
    ["GET", "/orders/none", 404],
    ["GET", "/nowhere/at/all/here", 404],
    ["POST", "/orders/none/verify", 405],
    ["POST", "/hooks/none", 401],
  ])(
    "to %s %s say that nobody is to keep them, nor to take them for something else",
    async (method, path, status) => {
      const answer = await call(method, path);
      expect(answer.status).toBe(status);
      expect(answer.headers.get("cache-control")).toBe("no-store");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      for (const name of ["server", "x-powered-by"]) expect(answer.headers.has(name)).toBe(false);
    },
  );

  it("of all Workers of the shop do so", async () => {
    for (const worker of [kitchen, delivery, orderlog]) {
      for (const path of ["/healthz", "/pending", "/none"]) {
        const handler = worker.default as unknown as {
          fetch(request: Request, env: object, context: ExecutionContext): Promise<Response>;
        };
        const { headers } = await handler.fetch(
          new Request(`https://shop.test${path}`),
          env,
          createExecutionContext(),
        );
        expect(headers.get("cache-control")).toBe("no-store");
        expect(headers.get("x-content-type-options")).toBe("nosniff");
      }
    }
  });
});
