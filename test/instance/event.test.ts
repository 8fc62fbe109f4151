import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import {
  call,
  customer,
  eventually,
  freshId,
  history,
  send,
  service,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { world } from "../support/probe.ts";

const linked = (type: string, guard: string) => ({
  type,
  guard,
  schema: `/machines/orders/events/${type}`,
});

const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });

beforeEach(() => {
  world.guard = () => true;
});

describe("an event", () => {
  it("moves the instance and is answered with the view", async () => {
    const id = await start("orders");
    const answer = await send("orders", id, addPizza("p1"));
    expect(answer).toMatchObject({
      status: 200,
      body: { id, workflow: "orders", outcome: "applied", seq: 2, epoch: 1, state: "orderPizza" },
    });
    expect(answer.body.context).toMatchObject({ items: [{ id: "p1" }] });
    expect(answer.body.message).toBe("Choose your pizzas, then confirm.");
  });

  it("is journalled without gaps, with what it changed", async () => {
    const id = await start("orders", addPizza("p1"));
    await send("orders", id, addPizza("p2"), { as: customer });
    const entries = await history("orders", id);
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(entries[2]).toMatchObject({
      event: addPizza("p2"),
      outcome: "applied",
      by: "carla",
      state: "orderPizza",
      changes: { context: { set: { total: { amount: 2380 } }, unset: [] } },
    });
  });

  it("that the state does not take gets 409 with what is allowed, and changes nothing", async () => {
    const id = await start("orders");
    const refused = await send("orders", id, { type: "CONFIRM_PIZZA" }, { as: customer });
    expect(refused).toMatchObject({
      status: 409,
      body: {
        type: "urn:durachart:problem:event-not-allowed",
        allowed: [
          linked("ADD_PIZZA", "passes"),
          linked("REMOVE_PIZZA", "fails"),
          linked("CONFIRM_PIZZA", "fails"),
          linked("CANCEL_ORDER", "passes"),
        ],
        timers: [{ event: "xstate.after.orderingTimeout.order.orderPizza" }],
        detail: expect.stringContaining("Allowed now: ADD_PIZZA, CANCEL_ORDER."),
      },
    });
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await view("orders", id)).toMatchObject({ seq: 1 });
  });

  it("that came too late is journalled and ignored, where its policy says so", async () => {
    const id = await start("orders", addPizza("p1"));
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    await send("orders", id, { type: "CANCEL_ORDER" });
    const before = await view("orders", id);
    const late = await send("orders", id, { type: "PIZZA_READY" }, { as: service });
    expect(late).toMatchObject({ status: 200, body: { outcome: "ignored", state: "cancelled" } });
    const entries = await history("orders", id);
    expect(entries.at(-1)).toMatchObject({
      seq: late.body.seq,
      event: { type: "PIZZA_READY" },
      outcome: "ignored",
      changes: {},
    });
    expect((await view("orders", id)).context).toEqual(before.context);
  });

  it("is only for whom its definition names", async () => {
    const id = await start("orders", addPizza("p1"));
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    const forged = await send("orders", id, { type: "PIZZA_READY" }, { as: customer });
    expect(forged).toMatchObject({
      status: 403,
      body: { detail: expect.stringMatching(/service or operator/) as string },
    });
    const bare = await start("probes");
    expect(await send("probes", bare, { type: "COUNT" }, { as: customer })).toMatchObject({
      status: 403,
    });
  });

  it("shows each caller only what that caller may do", async () => {
    const id = await start("orders", addPizza("p1"));
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    await eventually(
      () => view("orders", id),
      ({ state }) => JSON.stringify(state).includes("waiting"),
    );
    const { body } = await call("GET", `/orders/${id}`, { as: service });
    expect(body["allowed"]).toEqual([
      linked("PIZZA_READY", "passes"),
      linked("PIZZA_FAILED", "passes"),
      linked("PIZZA_IN_OVEN", "passes"),
    ]);
  });
});

describe("the same event again", () => {
  it("with its idempotency key is applied once and answered alike", async () => {
    const id = await start("orders");
    const first = await send("orders", id, addPizza("p1"), { key: "k1" });
    const again = await send("orders", id, addPizza("p1"), { key: "k1" });
    expect(again).toMatchObject({
      status: first.status,
      body: { outcome: "duplicate", first: { outcome: "applied", seq: 2 }, seq: 2 },
    });
    expect(again.body.context).toEqual(first.body.context);
  });

  it("with the key, but another body, gets 409 and changes nothing", async () => {
    const id = await start("orders");
    await send("orders", id, addPizza("p1"), { key: "k1" });
    const other = await send("orders", id, addPizza("p2"), { key: "k1" });
    expect(other).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:key-reused" },
    });
    expect(await view("orders", id)).toMatchObject({ seq: 2 });
  });

  it("by another caller with the same key is another event", async () => {
    const id = await start("orders");
    await send("orders", id, addPizza("p1"), { key: "k1" });
    const other = await send("orders", id, addPizza("p2"), { key: "k1", as: customer });
    expect(other).toMatchObject({ status: 200, body: { outcome: "applied", seq: 3 } });
  });

  it("after a rejection is tried anew: a rejected attempt isn't remembered", async () => {
    const id = await start("orders");
    const early = await send("orders", id, { type: "CONFIRM_PIZZA" }, { key: "k1" });
    expect(early.status).toBe(409);
    await send("orders", id, addPizza("p1"));
    const later = await send("orders", id, { type: "CONFIRM_PIZZA" }, { key: "k1" });
    expect(later).toMatchObject({ status: 200, body: { outcome: "applied" } });
  });

  it("fifty times at once is one transition", async () => {
    const id = await start("probes");
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => send("probes", id, { type: "COUNT" }, { key: "once" })),
    );
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    const outcomes = answers.map(({ body }) => body.outcome);
    expect(outcomes.filter((outcome) => outcome === "applied")).toHaveLength(1);
    expect(await view("probes", id)).toMatchObject({ seq: 2, context: { count: 1 } });
  });
});

describe("a context that is altered in place", () => {
  it("is as stored again after a repeat, a throw and an eviction", async () => {
    const id = await start("probes");
    const list = async () => (await view("probes", id)).context["list"];
    await send("probes", id, { type: "PUSH" }, { key: "k1" });
    await send("probes", id, { type: "PUSH" }, { key: "k1" });
    expect(await list()).toEqual([1]);
    await send("probes", id, { type: "PUSH_AND_THROW" });
    expect(await list()).toEqual([1]);
    await send("probes", id, { type: "PUSH" });
    await evictDurableObject(stubOf("probes", id));
    expect(await list()).toEqual([1, 2]);
  });
});

describe("a throw in the middle", () => {
  it.each([
    ["an assign throws", { type: "THROW_IN_ASSIGN" }, 422, "step-failed"],
    ["the context can't be stored", { type: "NOT_JSON" }, 422, "unsupported"],
    ["a delay is no number", { type: "WAIT_FOR_EVER" }, 422, "unsupported"],
    ["an unknown action is enqueued", { type: "ENQUEUE_UNKNOWN" }, 422, "unsupported"],
    ["the chart loops", { type: "LOOP" }, 422, "step-failed"],
    [
      "the state grows too large",
      { type: "GROW", data: { bytes: 1_000_001 } },
      422,
      "state-too-large",
    ],
  ])("rolls everything back: %s", async (_, event, status, name) => {
    const id = await start("probes");
    await send("probes", id, { type: "COUNT" });
    const tables = () =>
      runInDurableObject(stubOf("probes", id), (_instance, { storage }) => ({
        rows: ["state", "journal", "inbox", "effects"].map((table) =>
          storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
        ),
      }));
    const before = await tables();
    const failed = await send("probes", id, event, { key: "k" });
    expect(failed).toMatchObject({ status, body: { type: `urn:durachart:problem:${name}` } });
    expect(await tables()).toEqual(before);
    const after = await send("probes", id, { type: "COUNT" });
    expect(after.body).toMatchObject({ seq: 3, context: { count: 2 } });
  });

  it("by a guard is a clear answer too", async () => {
    const id = await start("probes");
    world.guard = () => {
      throw new Error("the oven is on fire");
    };
    const failed = await send("probes", id, { type: "GUARDED" });
    expect(failed).toMatchObject({ status: 422 });
    expect(failed.body.detail).toMatch(/"probe", state "idle".*GUARDED.*oven is on fire/s);
  });
});

describe("a start", () => {
  it("repeated without an answer in between is the same instance", async () => {
    const id = freshId();
    const body = { id, event: addPizza("p1") };
    const first = await call("POST", "/orders", { body });
    const again = await call("POST", "/orders", { body });
    expect([first.status, again.status]).toEqual([201, 200]);
    expect(again.body).toEqual(first.body);
    expect(first.headers.get("location")).toBe(`/orders/${id}`);
  });

  it("fifty times at once creates one instance", async () => {
    const body = { id: freshId(), event: addPizza("p1") };
    const all = await Promise.all(
      Array.from({ length: 50 }, () => call("POST", "/orders", { body })),
    );
    const statuses = all.map(({ status }) => status);
    expect(statuses.filter((status) => status === 201)).toHaveLength(1);
    expect(statuses.filter((status) => status === 200)).toHaveLength(49);
    expect(await view("orders", body.id)).toMatchObject({ seq: 2 });
  });

  it("of an id that is in use with another body gets 409", async () => {
    const id = await start("orders");
    const other = await call("POST", "/orders", { body: { id, event: addPizza("p1") } });
    expect(other).toMatchObject({ status: 409, body: { type: "urn:durachart:problem:id-in-use" } });
  });

  it("without an id derives one from the idempotency key and the caller", async () => {
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    const first = await call("POST", "/orders", { body: {}, headers });
    const again = await call("POST", "/orders", { body: {}, headers });
    const other = await call("POST", "/orders", { body: {}, headers, as: customer });
    expect([first.status, again.status, other.status]).toEqual([201, 200, 201]);
    expect(again.body["id"]).toBe(first.body["id"]);
    expect(other.body["id"]).not.toBe(first.body["id"]);
  });

  it("whose event is not taken starts nothing and leaves no storage", async () => {
    const id = freshId();
    const refused = await call("POST", "/orders", {
      body: { id, event: { type: "CONFIRM_PIZZA" } },
    });
    expect(refused.status).toBe(409);
    expect((await call("GET", `/orders/${id}`)).status).toBe(404);
    await expectNoStorage(id);
  });
});

describe("an id that was never started", () => {
  it("is answered 404 and leaves no storage", async () => {
    const id = freshId();
    expect((await call("GET", `/orders/${id}`)).status).toBe(404);
    expect((await send("orders", id, addPizza("p1"))).status).toBe(404);
    expect((await call("GET", `/orders/${id}/history`)).status).toBe(404);
    await expectNoStorage(id);
  });
});

async function expectNoStorage(id: string): Promise<void> {
  await runInDurableObject(stubOf("orders", id), async (_instance, { storage }) => {
    const tables = storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '_cf%'");
    expect(tables.toArray()).toEqual([]);
    expect(await storage.getAlarm()).toBeNull();
    expect(await storage.list()).toEqual(new Map());
  });
}
