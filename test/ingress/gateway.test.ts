import { createExecutionContext } from "cloudflare:test";
import { env as real } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { api, neighbours, type GatewayEnv } from "../../services/gateway/api.ts";
import gateway from "../../services/gateway/worker.ts";
import kitchen from "../../services/kitchen/worker.ts";
import type { Product } from "../../services/contracts/catalog.ts";
import type { RoomSummary } from "../../services/contracts/chat.ts";
import type { Reply } from "../../services/contracts/reply.ts";
import { problem } from "../../src/contract/problem.ts";
import { WINDOW } from "../../src/contract/tenancy.ts";
import { useUpRequests } from "../support/used-up.ts";

/** The gateway alone: its neighbours are what a test says they answer. */
interface Neighbours {
  whoIs?: () => Promise<Reply<object>>;
  orchestrator?: (request: Request) => Promise<Response>;
  products?: (ids: readonly string[]) => Promise<Reply<Product[]>>;
  chat?: () => Promise<Reply<RoomSummary>>;
}

const carla = { tenant: "tropical", subject: "carla", roles: ["customer"] };
const order = {
  id: "o-1",
  context: { items: ["mango-tango", "mango-tango", "banana-curry"].map((pizza) => ({ pizza })) },
};
const product = (id: string): Product => ({
  ...{ id, name: id, description: "", price: { amount: 1, currency: "EUR" } },
  ...{ picture: "/api/catalog/pictures/x", available: true },
});
const room: RoomSummary = {
  ...{ order: "orders/o-1", messages: 0, last: null, present: [] },
  stream: "/api/chat/orders/o-1/stream",
};
const staff = { ...carla, subject: "kai", roles: ["service"] };
const ok = <Value>(value: Value): Reply<Value> => ({ ok: true, value });

function shop({ whoIs, orchestrator, products, chat }: Neighbours) {
  const asked: string[] = [];
  const env = {
    TENANTS: real.TENANTS,
    AUTH: { whoIs: whoIs ?? (async () => ok(carla)) },
    ORCHESTRATOR: {
      fetch: async (request: Request) => {
        asked.push(`${request.method} ${new URL(request.url).pathname}`);
        return orchestrator === undefined ? Response.json(order) : orchestrator(request);
      },
    },
    CATALOG: {
      products: async (_: unknown, ids: readonly string[]) => {
        asked.push(`products ${ids.join()}`);
        return products === undefined ? ok(ids.map(product)) : products(ids);
      },
    },
    KITCHEN_JOBS: {
      pending: async () => ok([]),
      move: async (_: unknown, move: string, data: unknown, key: unknown) => {
        asked.push(`kitchen ${move} ${JSON.stringify(data)} ${String(key)}`);
        return ok({ order: "orders/o-1", type: "PIZZA_READY" });
      },
    },
    LOG: {
      entries: async (_: unknown, parameters: object) => {
        asked.push(`log ${JSON.stringify(parameters)}`);
        return ok([]);
      },
    },
    CHAT: {
      summary: async () => {
        asked.push("chat");
        return chat === undefined ? ok(room) : chat();
      },
      fetch: async (request: Request) => {
        asked.push(`chat ${request.method} ${new URL(request.url).pathname}`);
        return new Response("said");
      },
    },
  } as unknown as GatewayEnv;
  const ask = async (path: string, init: RequestInit = {}) => {
    const headers = { Authorization: "Bearer x", ...(init.headers as object) };
    const response = await api(new Request(`https://shop.test${path}`, { ...init, headers }), env);
    const text = await response.text();
    const body = text.startsWith("{") ? (JSON.parse(text) as Record<string, unknown>) : text;
    return { status: response.status, headers: response.headers, body };
  };
  return { ask, asked };
}

const breaks = () => Promise.reject(new Error("Network connection lost."));

describe("an order at the gateway", () => {
  it("comes with its products, each once, and its room", async () => {
    const { ask, asked } = shop({});
    const { status, body, headers } = await ask("/api/orders/o-1");
    expect(status).toBe(200);
    expect(body).toEqual({
      order,
      products: { status: "ok", value: [product("mango-tango"), product("banana-curry")] },
      chat: { status: "ok", value: room },
    });
    expect(asked).toEqual(["GET /orders/o-1", "products mango-tango,banana-curry", "chat"]);
    expect(headers.get("cache-control")).toBe("no-store");
  });

  it("asks its neighbours side by side", async () => {
    let isChatAsked = (): void => {};
    const chatAsked = new Promise<void>((resolve) => (isChatAsked = resolve));
    const { ask } = shop({
      // Answers only once the other was asked.
      products: async (ids) => chatAsked.then(() => ok(ids.map(product))),
      chat: async () => {
        isChatAsked();
        return ok(room);
      },
    });
    expect((await ask("/api/orders/o-1")).body).toMatchObject({ products: { status: "ok" } });
  });

  it.each<[string, Neighbours, object]>([
    ["the catalog is gone", { products: breaks }, { products: { status: "unavailable" } }],
    ["the chat is gone", { chat: breaks }, { chat: { status: "unavailable" } }],
    [
      "the chat refuses",
      { chat: async () => ({ ok: false, problem: problem("overloaded", "Full.") }) },
      { chat: { status: "unavailable", problem: { status: 503, detail: "Full." } } },
    ],
    [
      "both are gone",
      { chat: breaks, products: breaks },
      { chat: { status: "unavailable" }, products: { status: "unavailable" } },
    ],
  ])("is there though %s", async (_, neighbours, parts) => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    const { status, body } = await shop(neighbours).ask("/api/orders/o-1");
    expect(status).toBe(200);
    expect(body).toMatchObject({ order, ...parts });
    errors.mockRestore();
  });

  it("that isn't the caller's is what the orchestrator says, and nobody else is asked", async () => {
    const missing = async () => Response.json({ status: 404 }, { status: 404 });
    const { ask, asked } = shop({ orchestrator: missing });
    expect((await ask("/api/orders/o-2")).status).toBe(404);
    expect(asked).toEqual(["GET /orders/o-2"]);
  });

  it.each([
    ["POST", "/api/orders", "POST /orders"],
    ["GET", "/api/orders", "GET /orders"],
    ["POST", "/api/orders/o-1/events", "POST /orders/o-1/events"],
    ["GET", "/api/orders/o-1/history", "GET /orders/o-1/history"],
    ["GET", "/api/orders/o-1/stream?ticket=t", "GET /orders/o-1/stream"],
    ["GET", "/api/chat/orders/o-1/stream?ticket=t", "chat GET /orders/o-1/stream"],
  ])("%s %s is passed on", async (method, path, there) => {
    const { ask, asked } = shop({});
    await ask(path, { method });
    expect(asked).toEqual([there]);
  });
});

describe("stations and the log at the gateway", () => {
  it("are asked by their methods", async () => {
    const { ask, asked } = shop({ whoIs: async () => ok(staff) });
    expect((await ask("/api/kitchen/pending")).body).toEqual({ pending: [] });
    const headers = { "Idempotency-Key": "k-1", "Content-Type": "application/json" };
    const failed = { method: "POST", headers, body: `{"reason":"cold"}` };
    expect(await ask("/api/kitchen/fail-next", failed)).toMatchObject({ status: 200 });
    expect((await ask("/api/log?order=orders/o-1&limit=5")).body).toEqual({ entries: [] });
    expect(asked).toEqual([
      'kitchen fail {"reason":"cold"} k-1',
      'log {"order":"orders/o-1","limit":"5"}',
    ]);
  });

  it("read nothing of what a customer sends", async () => {
    const { ask, asked } = shop({});
    for (const move of ["begin-next", "finish-next", "fail-next"]) {
      let isRead = false;
      const pull = (controller: ReadableStreamDefaultController) => {
        isRead = true;
        controller.close();
      };
      const body = new ReadableStream({ pull }, { highWaterMark: 0 });
      const headers = { "Content-Type": "application/json" };
      expect(await ask(`/api/kitchen/${move}`, { method: "POST", body, headers })).toMatchObject({
        status: 403,
      });
      expect({ move, isRead }).toEqual({ move, isRead: false });
    }
    expect(asked).toEqual([]);
  });

  it.each([
    ["POST", "/api/kitchen/pending", 405],
    ["GET", "/api/kitchen/finish-next", 405],
    ["POST", "/api/kitchen/eat", 404],
    ["GET", "/api/kitchen", 404],
    ["GET", "/api/delivery/pending", 503],
    ["POST", "/api/log", 405],
    ["GET", "/api/log/x", 404],
  ])("%s %s is %i", async (method, path, status) => {
    expect((await shop({}).ask(path, { method })).status).toBe(status);
  });
});

describe("a tenant that has asked too much this minute", () => {
  afterEach(() => vi.useRealTimers());

  it("is told so whoever is asked for, before anything is read; another goes on", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    // The beginning of a minute.
    vi.setSystemTime(Math.ceil(Date.now() / WINDOW) * WINDOW);
    const tenant = `busy-${crypto.randomUUID()}`;
    await useUpRequests(tenant);
    const { ask, asked } = shop({ whoIs: async () => ok({ ...staff, tenant }) });
    // All that there are, and what there isn't.
    const others = [...Object.keys(neighbours), "nobody"].filter((name) => name !== "orders");
    expect(others.length).toBeGreaterThan(7);
    for (const name of others) {
      const { status, headers, body } = await ask(`/api/${name}/x`, { method: "POST", body: "{" });
      expect({ name, status, body }).toMatchObject({
        ...{ name, status: 429 },
        body: { type: "urn:durachart:problem:too-many-requests", limit: { name: "requests" } },
      });
      expect(headers.get("retry-after")).toBe("60");
      expect(headers.get("ratelimit")).toBe('"requests";r=0;t=60');
      expect(headers.get("ratelimit-policy")).toBe('"requests";q=60000;w=60');
    }
    expect(asked).toEqual([]);
    const body = JSON.stringify({ specversion: "1.0", id: "1", source: "/o", type: "MAKE_PIZZA" });
    const signed = {
      "webhook-id": "msg_1",
      "webhook-timestamp": String(Math.floor(Date.now() / 1_000)),
      "webhook-signature": new Webhook(real.TEST_WEBHOOK_SECRET).sign("msg_1", new Date(), body),
    };
    const headers = { "Content-Type": "application/cloudevents+json", ...signed };
    const sender = { name: "broker", tenant, roles: ["service"] };
    const senders = [{ ...sender, secrets: [real.TEST_WEBHOOK_SECRET] }];
    const brought = await kitchen.fetch(
      new Request("https://kitchen.test/events", { method: "POST", headers, body }),
      { ...real, WEBHOOK_SENDERS: JSON.stringify(senders) } as never,
      createExecutionContext(),
    );
    expect(brought.status).toBe(429);
    // The orchestrator counts its own.
    await ask("/api/orders/o-1/history");
    expect(asked).toEqual(["GET /orders/o-1/history"]);
    expect((await shop({}).ask("/api/log")).status).toBe(200);
  });
});

describe("the mailbox", () => {
  it.each([
    ["http://localhost:8787", 200],
    ["http://127.0.0.1:8787", 200],
    ["http://[::1]:8787", 200],
    ["https://shop.example", 404],
    ["https://durachart-gateway.example.workers.dev", 404],
    ["http://localhost.example", 404],
    ["https://127.0.0.1.example", 404],
  ])("at %s is %i, though a deployment keeps its mails there", async (origin, status) => {
    let asked = 0;
    const env = {
      ...{ TENANTS: real.TENANTS, AUTH: { whoIs: async () => ok(staff) } },
      MAILBOX: {
        isThere: async () => ok(true),
        mails: async () => ok([{ subject: `Mail ${(asked += 1)}` }]),
      },
    } as unknown as GatewayEnv;
    for (const path of ["/mailbox", "/api/mailbox"]) {
      const headers = { Authorization: "Bearer x" };
      const answer = await gateway.fetch(new Request(origin + path, { headers }), env);
      expect({ path, status: answer.status }).toEqual({ path, status });
      await answer.text();
    }
    expect(asked).toBe(status === 200 ? 1 : 0);
  });
});

describe("the gateway", () => {
  it.each<[string, Neighbours, number]>([
    ["the auth service is gone", { whoIs: breaks }, 503],
    ["the orchestrator is gone", { orchestrator: breaks }, 503],
    [
      "the token is no good",
      { whoIs: async () => ({ ok: false, problem: problem("unauthenticated", "No.") }) },
      401,
    ],
  ])("says so where %s, and asks nobody else", async (_, neighbours, status) => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    const { ask, asked } = shop(neighbours);
    expect(await ask("/api/orders/o-1")).toMatchObject({ status, body: { status } });
    expect(asked.filter((one) => !one.startsWith("GET /orders"))).toEqual([]);
    errors.mockRestore();
  });

  it.each([
    "/api",
    "/api/",
    "/api/nobody",
    "/api/__proto__/x",
    "/api/constructor",
    "/api/%E0%A4%A",
  ])("has nothing at %s", async (path) => {
    const { ask, asked } = shop({});
    expect((await ask(path)).status).toBe(404);
    expect(asked).toEqual([]);
  });

  it.each([
    ...["/api/catalog/products?ticket=t", "/api/orders/o-1?ticket=t", "/api/chat/x?ticket=t"],
    // An order that is called so.
    ...["/api/orders/stream?ticket=t", "/api/orders/o-1/events/stream?ticket=t"],
    "/api/chat/stream?ticket=t",
  ])("takes no ticket for a token at %s", async (path) => {
    const whoIs = async () => ({
      ok: false as const,
      problem: problem("unauthenticated", "No."),
    });
    const { ask, asked } = shop({ whoIs });
    expect((await ask(path)).status).toBe(401);
    expect(asked).toEqual([]);
  });
});
