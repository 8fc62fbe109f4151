import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { tenantName, WINDOW, type TenantCalls } from "../../src/contract/tenancy.ts";
import { Allowances } from "../../src/tenants/allowances.ts";
import { call, eventually, freshId, operator } from "../support/client.ts";
import { limits, resetLimits } from "../support/limits.ts";
import { TestSocket } from "../support/socket.ts";
import { consume, projection } from "../support/listed.ts";

let tenants = 0;
/** One that no other test uses: what it may do is counted in this isolate. */
const newTenant = (): Caller => ({ ...operator, tenant: `counted-${++tenants}` });

const allow = (tenant: string, own: Partial<typeof limits.tenants>): void => {
  limits.tenants = { ...limits.tenants, own: { ...limits.tenants.own, [tenant]: own } };
};

const get = (as: Caller) => call("GET", "/turnstiles/none", { as });
const count = (as: Caller, id: string) =>
  call("POST", `/probes/${id}/events`, { as, body: { type: "COUNT" } });

/** As the broker would, signed. */
const webhook = (events: readonly object[]) => {
  const body = JSON.stringify(events);
  const id = `msg_${crypto.randomUUID()}`;
  const signature = new Webhook(env.TEST_WEBHOOK_SECRET).sign(id, new Date(), body);
  const headers = {
    "Content-Type": "application/cloudevents-batch+json",
    ...{ "webhook-id": id, "webhook-timestamp": String(Math.floor(Date.now() / 1_000)) },
    "webhook-signature": signature,
  };
  return call("POST", "/events", { as: null, headers, body });
};

const objectOf = ({ tenant }: Caller) => env.TENANTS.getByName(tenantName(tenant));

beforeEach(() => {
  // The beginning of a minute.
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Math.ceil(Date.now() / WINDOW) * WINDOW);
});

afterEach(() => {
  vi.useRealTimers();
  resetLimits();
});

describe("requests", () => {
  it("are let in up to the limit of the minute, exactly, then refused until the next", async () => {
    const as = newTenant();
    allow(as.tenant, { requestsPerMinute: 100 });
    const statuses = await Promise.all(
      Array.from({ length: 150 }, async () => (await get(as)).status),
    );
    expect(statuses.filter((status) => status === 404)).toHaveLength(100);
    expect(statuses.filter((status) => status === 429)).toHaveLength(50);
    vi.setSystemTime(Date.now() + 17_500);
    const refused = await get(as);
    expect(refused).toMatchObject({
      status: 429,
      body: {
        type: "urn:durachart:problem:too-many-requests",
        limit: { name: "requests", quota: 100, window: 60, remaining: 0, reset: 43 },
      },
    });
    expect(refused.headers.get("retry-after")).toBe("43");
    expect(refused.headers.get("ratelimit")).toBe('"requests";r=0;t=43');
    expect(refused.headers.get("ratelimit-policy")).toBe('"requests";q=100;w=60');
    vi.setSystemTime(Date.now() + 42_500);
    expect((await get(as)).status).toBe(404);
  });

  it("of one tenant that are too many are no other's", async () => {
    const [greedy, modest] = [newTenant(), newTenant()];
    allow(greedy.tenant, { requestsPerMinute: 5 });
    for (let asked = 0; asked < 20; asked++) await get(greedy);
    expect((await get(greedy)).status).toBe(429);
    expect((await get(modest)).status).toBe(404);
  });

  it("cost the tenant's object few calls, and none while there is known to be nothing left", async () => {
    const as = newTenant();
    allow(as.tenant, { requestsPerMinute: 1_000 });
    let leases = 0;
    const counting = {
      getByName: (name: string) => {
        const object = env.TENANTS.getByName(name) as unknown as TenantCalls;
        return {
          lease: (...ask: Parameters<TenantCalls["lease"]>) => (
            (leases += 1),
            object.lease(...ask)
          ),
        };
      },
    };
    const allowances = new Allowances({ TENANTS: counting }, limits);
    const take = () => allowances.take(as.tenant, "requests", 1);
    for (let asked = 0; asked < 800; asked++) await take();
    expect(leases).toBeLessThan(30);
    for (let asked = 0; asked < 200; asked++) await take();
    const before = leases;
    for (let asked = 0; asked < 20; asked++) await expect(take()).rejects.toThrow(/used up/);
    expect(leases).toBe(before);
  });

  it("that are forged, or by webhook and hook without a signature, are not counted as the tenant's", async () => {
    const as = newTenant();
    allow(as.tenant, { requestsPerMinute: 3 });
    for (let asked = 0; asked < 20; asked++) {
      await call("GET", "/turnstiles/none", { as: null });
      await call("GET", "/turnstiles/none", {
        as: null,
        headers: { Authorization: "Bearer a.b.c" },
      });
      await call("POST", "/events", { as: null, body: {} });
    }
    expect((await get(as)).status).toBe(404);
  });
});

describe("the tenant's object", () => {
  it("never grants more than the limit in a minute, whoever asks for how much", async () => {
    const { tenant } = newTenant();
    const object = objectOf({ ...operator, tenant }) as unknown as TenantCalls;
    let granted = 0;
    for (const want of [1, 7, 100, 1_000, 3, 50, 999, 1_000, 1_000]) {
      granted += (await object.lease(tenant, "events", want, 300)).granted;
    }
    while (granted < 300) {
      const lease = await object.lease(tenant, "events", 1_000, 300);
      expect(lease.granted).toBeGreaterThan(0);
      granted += lease.granted;
    }
    expect(granted).toBe(300);
    expect(await object.lease(tenant, "events", 1, 300)).toMatchObject({
      granted: 0,
      remaining: 0,
    });
    // The other count is another one.
    expect((await object.lease(tenant, "requests", 1, 300)).granted).toBe(1);
  });

  it("answers for its own tenant alone", async () => {
    const [one, other] = [newTenant(), newTenant()];
    await runInDurableObject(objectOf(one), async (object) => {
      const lease = object.lease(other.tenant, "events", 1, 10);
      await expect(lease).rejects.toThrow(/another tenant/);
    });
  });

  it("that doesn't answer stops nobody", async () => {
    const as = newTenant();
    const broken = { getByName: () => ({ lease: () => Promise.reject(new Error("down")) }) };
    const allowances = new Allowances({ TENANTS: broken }, limits);
    for (let asked = 0; asked < 300; asked++) await allowances.take(as.tenant, "requests", 1);
  });

  it("whose clock is behind is asked no more often", async () => {
    const as = newTenant();
    let leases = 0;
    const lease = (_: string, __: string, want: number) => {
      leases += 1;
      if (leases > 20) return Promise.reject(new Error("asked for ever"));
      return Promise.resolve({ granted: want, remaining: 100, resets: Date.now() - 500 });
    };
    const allowances = new Allowances({ TENANTS: { getByName: () => ({ lease }) } }, limits);
    for (let asked = 0; asked < 20; asked++) await allowances.take(as.tenant, "requests", 1);
    expect(leases).toBeLessThan(5);
  });

  it("must be bound: without it nobody gets in", async () => {
    const take = new Allowances({}, limits).take(newTenant().tenant, "requests", 1);
    await expect(take).rejects.toThrow(/Bind the object class Tenant as TENANTS/);
  });
});

describe("events", () => {
  it("are counted one by one, in batches and with starts, and what is refused changes nothing", async () => {
    const as = newTenant();
    allow(as.tenant, { eventsPerMinute: 10 });
    const id = freshId();
    const start = { id, event: { type: "COUNT" } };
    expect((await call("POST", "/probes", { as, body: start })).status).toBe(201);
    const batch = (length: number) =>
      call("POST", `/probes/${id}/events`, {
        as,
        headers: { "Content-Type": "application/cloudevents-batch+json" },
        body: JSON.stringify(
          Array.from({ length }, () => ({
            ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/x", type: "COUNT" },
          })),
        ),
      });
    expect((await batch(5)).status).toBe(200);
    expect((await batch(5)).status).toBe(429);
    for (let sent = 0; sent < 4; sent++) expect((await count(as, id)).status).toBe(200);
    expect(await count(as, id)).toMatchObject({ status: 429, body: { limit: { name: "events" } } });
    const { body } = await call<{ seq: number }>("GET", `/probes/${id}`, { as });
    expect(body.seq).toBe(11);
  });

  it("of a batch about several instances are let in together or not at all", async () => {
    // The tenant whose webhooks the deployment under test takes.
    const as = { ...operator, tenant: "tropical" };
    const ids = [freshId(), freshId(), freshId()];
    for (const id of ids) await call("POST", "/turnstiles", { as, body: { id } });
    allow(as.tenant, { eventsPerMinute: 7 });
    vi.setSystemTime(Date.now() + WINDOW);
    const send = (events: [id: string, type: string][]) =>
      webhook(
        events.map(([id, type]) => ({
          ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/x", type },
          subject: `turnstiles/${id}`,
        })),
      );
    const [one, two, three] = ids as [string, string, string];
    expect((await send(ids.map((id) => [id, "COIN"]))).status).toBe(200);
    const four: [string, string][] = [
      ...ids.map((id): [string, string] => [id, "PUSH"]),
      [three, "COIN"],
    ];
    // Four are left: those of the first two would fit.
    expect((await send([...four, [three, "PUSH"]])).status).toBe(429);
    for (const id of [one, two, three]) {
      const { body } = await call<{ seq: number }>("GET", `/turnstiles/${id}`, { as });
      expect(body.seq).toBe(2);
    }
    expect((await send(four)).status).toBe(200);
  });

  it("of a batch that no minute has room for are not to be tried again", async () => {
    const as = newTenant();
    allow(as.tenant, { eventsPerMinute: 4 });
    const id = freshId();
    await call("POST", "/probes", { as, body: { id } });
    const batch = Array.from({ length: 5 }, () => ({
      ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/x", type: "COUNT" },
    }));
    const headers = { "Content-Type": "application/cloudevents-batch+json" };
    const body = JSON.stringify(batch);
    expect(await call("POST", `/probes/${id}/events`, { as, headers, body })).toMatchObject({
      status: 413,
      body: { type: "urn:durachart:problem:body-too-large" },
    });
    expect((await count(as, id)).status).toBe(200);
  });

  it("over a socket are counted too, in their order, and one too many has a receipt", async () => {
    const as = newTenant();
    allow(as.tenant, { eventsPerMinute: 30 });
    const id = freshId();
    await call("POST", "/probes", { as, body: { id } });
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as });
    const event = { specversion: "1.0", source: "/x", type: "COUNT" };
    for (let sent = 0; sent < 40; sent++) {
      socket.send(JSON.stringify({ ...event, id: String(sent) }));
    }
    const receipts = await eventually(
      () => Promise.resolve(socket.messages.filter(({ type }) => type === "durachart.receipt")),
      (found) => found.length === 40,
    );
    const told = receipts.map(({ data }) => data as { of: { id?: string }; problem?: object });
    expect(told.filter(({ problem }) => problem === undefined).map(({ of }) => of.id)).toEqual(
      Array.from({ length: 30 }, (_, index) => String(index)),
    );
    expect(told.at(-1)).toMatchObject({ problem: { status: 429, limit: { name: "events" } } });
    vi.useRealTimers();
    const { body } = await call<{ seq: number }>("GET", `/probes/${id}`, { as });
    expect(body.seq).toBe(31);
    socket.close();
  });
});

describe("sockets", () => {
  it("have about as many places as the tenant may have, given back when they close", async () => {
    const as = newTenant();
    allow(as.tenant, { sockets: 2 });
    const id = freshId();
    await call("POST", "/probes", { as, body: { id } });
    const open = () => TestSocket.open(`/probes/${id}/stream`, { as });
    const [one] = [await open(), await open()];
    await expect(open()).rejects.toThrow(/429.*too-many-sockets/);
    // What isn't opened takes no place.
    await expect(TestSocket.open(`/probes/none/stream`, { as })).rejects.toThrow(/429/);
    one.close();
    vi.useRealTimers();
    await eventually(
      () =>
        open().then(
          () => true,
          () => false,
        ),
      (isOpen) => isOpen,
    );
  });

  it("that can't be opened give their place back", async () => {
    const as = newTenant();
    allow(as.tenant, { sockets: 1 });
    for (let asked = 0; asked < 3; asked++) {
      await expect(TestSocket.open(`/probes/none/stream`, { as })).rejects.toThrow(/404/);
      // The local runtime has no such place.
      const elsewhere: Caller = { ...as, jurisdiction: "eu" };
      const open = TestSocket.open(`/probes/none/stream`, { as: elsewhere });
      await expect(open).rejects.toThrow(/503/);
    }
  });

  it("of one instance are at most as many as the deployment says", async () => {
    const as = newTenant();
    limits.watchers = 2;
    const id = freshId();
    await call("POST", "/probes", { as, body: { id } });
    const open = () => TestSocket.open(`/probes/${id}/stream`, { as });
    const sockets = [await open(), await open()];
    await expect(open()).rejects.toThrow(/429.*watchers already/);
    for (const socket of sockets) socket.close();
  });
});

describe("live instances", () => {
  it("are about as many as the tenant may have, as the list knows", async () => {
    const as = newTenant();
    allow(as.tenant, { liveInstances: 5 });
    const start = () => call("POST", "/probes", { as, body: { id: freshId() } });
    const told = Array.from({ length: 3 }, () =>
      projection({ tenant: as.tenant, workflow: "probes" }),
    );
    await consume(told);
    expect((await start()).status).toBe(201);
    expect((await start()).status).toBe(201);
    expect(await start()).toMatchObject({
      status: 429,
      body: { type: "urn:durachart:problem:too-many-instances" },
    });
    await consume(told.map((one) => ({ ...one, seq: 2, status: "done" })));
    vi.setSystemTime(Date.now() + 10_000);
    expect((await start()).status).toBe(201);
  });
});
