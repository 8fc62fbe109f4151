import { describe, expect, it } from "vitest";
import { watch } from "../../src/cli/watch.ts";
import type { JournalEntry } from "../../src/index.ts";
import {
  addPizza,
  call,
  cloudEvent,
  confirmedOrder,
  enqueue,
  eventually,
  fleet,
  freshId,
  pending,
  reach,
  send,
  tokens,
  view,
  waitsIn,
} from "../support/shop.ts";

describe("a trace", () => {
  it("goes with an order through both stations and back", async () => {
    const id = freshId();
    await call("carla", "POST", "/orders", { id, event: addPizza("p1") });
    const trace = crypto.randomUUID().replaceAll("-", "");
    const confirmed = await fetch(new URL(`/orders/${id}/events`, fleet.url).href, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${tokens.carla}`,
        "Content-Type": "application/json",
        traceparent: `00-${trace}-b7ad6b7169203331-01`,
      },
      body: JSON.stringify({ type: "CONFIRM_PIZZA" }),
    });
    expect(confirmed.headers.get("traceparent")).toContain(`00-${trace}-`);
    await confirmed.body?.cancel();
    for (const station of ["kitchen", "delivery"] as const) {
      await waitsIn(station, id);
      await call("staff", "POST", `/${station}/finish-next`);
    }
    await eventually(
      () => view(id),
      ({ state }) => state === "delivered",
    );
    const { body } = await call<{ entries: JournalEntry[] }>(
      "olga",
      "GET",
      `/orders/${id}/history`,
    );
    const traced = body.entries.filter(({ event }) =>
      String(event.attributes?.["traceparent"]).includes(trace),
    );
    expect(traced.map(({ event }) => event.type)).toEqual([
      ...["CONFIRM_PIZZA", "PIZZA_READY", "PIZZA_DELIVERED"],
    ]);
  });
});

describe("a whole order", () => {
  it("goes from the first pizza to the door, and its watcher sees every step", async () => {
    const id = freshId();
    const body = { id, input: { customer: "carla" }, event: addPizza("p1") };
    expect((await call("carla", "POST", "/orders", body)).status).toBe(201);
    const shown: JournalEntry[] = [];
    const stream = new URL(`/orders/${id}/stream?after=0`, fleet.url).href;
    const order = await watch(stream, tokens.carla, { entry: (entry) => shown.push(entry) });

    await send(id, addPizza("p2"));
    await send(id, { type: "REMOVE_PIZZA", data: { id: "p2" } });
    await send(id, { type: "CONFIRM_PIZZA" });
    await waitsIn("kitchen", id);
    for (const call_ of ["begin-next", "finish-next"]) {
      expect((await call("staff", "POST", `/kitchen/${call_}`)).status).toBe(200);
    }
    await waitsIn("delivery", id);
    expect((await call("staff", "POST", "/delivery/finish-next")).status).toBe(200);
    await order.until(({ state }) => state === "delivered");
    order.close();

    const { body: journal } = await call<{ entries: JournalEntry[] }>(
      ...(["carla", "GET", `/orders/${id}/history`] as const),
    );
    expect(shown).toEqual(journal.entries);
    expect(shown.map(({ seq }) => seq)).toEqual(shown.map((_, index) => index + 1));
    const types = shown.map(({ event }) => event.type);
    expect(types.filter((type) => !type.startsWith("xstate."))).toEqual([
      ...["durachart.started", "ADD_PIZZA", "ADD_PIZZA", "REMOVE_PIZZA", "CONFIRM_PIZZA"],
      ...["PIZZA_IN_OVEN", "PIZZA_READY", "PIZZA_DELIVERED"],
    ]);
    expect(await view(id)).toMatchObject({
      status: "done",
      output: { status: "delivered", total: { amount: 1190, currency: "EUR" } },
      timers: [],
      incidents: [],
      allowed: [],
    });
  });

  it("is in the order log, each message once", async () => {
    const id = await confirmedOrder();
    await send(id, { type: "CANCEL_ORDER", data: { reason: "too hungry to wait" } });
    const logged = await eventually(
      async () => {
        const path = `/orderlog/log?order=orders/${id}`;
        const { body } = await call<{ entries: { type: string; data: object }[] }>(
          "staff",
          "GET",
          path,
        );
        return body.entries;
      },
      (entries) => entries.length >= 2,
    );
    expect(logged.map(({ type }) => type).toSorted()).toEqual([
      "order.cancelled",
      "order.confirmed",
    ]);
    expect(logged.find(({ type }) => type === "order.cancelled")?.data).toMatchObject({
      reason: "too hungry to wait",
      total: { amount: 1190, currency: "EUR" },
    });
  });
});

describe("an order whose kitchen fails", () => {
  it("can be tried again, or cancelled, and the kitchen forgets it", async () => {
    const id = await confirmedOrder();
    expect((await call("staff", "POST", "/kitchen/fail-next", { reason: "cold" })).status).toBe(
      200,
    );
    const failed = await reach(id, "errorInKitchen");
    expect(failed.context["reason"]).toBe("cold");
    await send(id, { type: "RETRY" });
    await waitsIn("kitchen", id);
    await send(id, { type: "CANCEL_ORDER" });
    expect(await view(id)).toMatchObject({ status: "done", state: "cancelled" });
    await eventually(
      () => pending("kitchen"),
      (jobs) => !jobs.some(({ order }) => order === `orders/${id}`),
    );
  });

  it("that was cancelled ignores a late PIZZA_READY, and journals it", async () => {
    const id = await confirmedOrder();
    await send(id, { type: "CANCEL_ORDER" });
    await enqueue("durachart-kitchen", "EVENTS_QUEUE", cloudEvent("PIZZA_READY", `orders/${id}`));
    const entries = await eventually(
      async () =>
        (await call<{ entries: JournalEntry[] }>("carla", "GET", `/orders/${id}/history`)).body
          .entries,
      (found) => found.some(({ event }) => event.type === "PIZZA_READY"),
    );
    expect(entries.at(-1)).toMatchObject({ event: { type: "PIZZA_READY" }, outcome: "ignored" });
    expect(await view(id)).toMatchObject({ state: "cancelled" });
  });
});

describe("the kitchen", () => {
  const make = (id: string, attributes: object = {}) =>
    enqueue("durachart", "KITCHEN_QUEUE", cloudEvent("MAKE_PIZZA", `orders/${id}`, attributes));
  const jobsOf = async (id: string) =>
    (await pending("kitchen")).filter(({ order }) => order === `orders/${id}`);

  it("takes the same order once, however often it is told", async () => {
    const id = freshId();
    const same = { id: "the-same" };
    await make(id, { ...same, source: `/orders/${id}` });
    await make(id, { ...same, source: `/orders/${id}` });
    await make(id);
    await waitsIn("kitchen", id);
    const last = freshId();
    await make(last);
    await waitsIn("kitchen", last);
    expect(await jobsOf(id)).toHaveLength(1);
  });

  it("does not bake what was cancelled before it was ordered", async () => {
    const id = freshId();
    await enqueue("durachart", "KITCHEN_QUEUE", cloudEvent("CANCEL_PIZZA", `orders/${id}`));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await make(id);
    const last = freshId();
    await make(last);
    await waitsIn("kitchen", last);
    expect(await jobsOf(id)).toEqual([]);
  });

  it("asked again for what it has finished reports it again, and bakes nothing twice", async () => {
    while ((await call("staff", "POST", "/kitchen/finish-next")).status === 200);
    const id = await confirmedOrder();
    expect((await call("staff", "POST", "/kitchen/finish-next")).body).toMatchObject({
      order: `orders/${id}`,
    });
    await waitsIn("delivery", id);
    const readies = async () => {
      const path = `/orders/${id}/history`;
      const { body } = await call<{ entries: JournalEntry[] }>("carla", "GET", path);
      return body.entries.filter(({ event }) => event.type === "PIZZA_READY");
    };
    await make(id);
    const seen = await eventually(readies, (entries) => entries.length === 2);
    expect(seen.map(({ outcome }) => outcome)).toEqual(["applied", "ignored"]);
    expect(await jobsOf(id)).toEqual([]);
  });

  it("finishes one job a key, and answers a repeat alike", async () => {
    for (const id of [freshId(), freshId()]) {
      await make(id);
      await waitsIn("kitchen", id);
    }
    const before = (await pending("kitchen")).length;
    const finish = () => call("staff", "POST", "/kitchen/finish-next", {}, "key-1");
    const [first, again] = [await finish(), await finish()];
    expect(first.status).toBe(200);
    expect(again).toEqual(first);
    expect((await pending("kitchen")).length).toBe(before - 1);
  });

  it("has nothing to finish when nothing is pending", async () => {
    while ((await call("staff", "POST", "/kitchen/finish-next")).status === 200);
    expect(await pending("kitchen")).toEqual([]);
    expect(await call("staff", "POST", "/kitchen/finish-next")).toMatchObject({ status: 404 });
  });

  it.each([
    ["GET", "/kitchen/finish-next", undefined, 405],
    ["POST", "/kitchen/pending", undefined, 405],
    ["POST", "/kitchen/fail-next", {}, 422],
    ["POST", "/kitchen/finish-next", { extra: 1 }, 422],
    ["GET", "/kitchen/nowhere", undefined, 404],
    ["POST", "/delivery/begin-next", undefined, 404],
  ])("answers %s %s with %j by %i", async (method, path, body, status) => {
    expect(await call("staff", method, path, body)).toMatchObject({ status, body: { status } });
  });
});
