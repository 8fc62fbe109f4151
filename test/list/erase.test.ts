import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Projection } from "../../src/contract/projection.ts";
import { call, customer, freshId, send, setTime, start, stubOf } from "../support/client.ts";
import { lister, resetLister } from "../support/lister.ts";
import { consume, rowOf, rowsOf } from "../support/listed.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const canary = "canary-7f3a";

afterEach(() => {
  vi.useRealTimers();
  resetLister();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 10));

/** Lets five seconds pass, and rings the alarm whenever it is due. */
async function ringOut(workflow: string, id: string): Promise<void> {
  const stub = stubOf(workflow, id);
  for (let second = 0; second < 5; second++) {
    setTime(Date.now() + 1_000);
    const at = await runInDurableObject(stub, (_instance, { storage }) => storage.getAlarm());
    if (at !== null && at <= Date.now()) await runDurableObjectAlarm(stub);
    await settle();
  }
}

/** Everything that goes to the queue from now on; nothing reaches it. */
function collect(): Projection[] {
  const told: Projection[] = [];
  lister.send = (projection) => Promise.resolve(void told.push(projection));
  return told;
}

/** An order of which the list knows who ordered it. */
async function listedOrder(told: Projection[]) {
  setTime(began);
  const id = `${canary}-${freshId()}`;
  await call("POST", "/orders", { body: { id, input: { customer: canary } } });
  await send(
    "orders",
    id,
    { type: "CANCEL_ORDER", data: { reason: canary } },
    {
      as: { ...customer, subject: canary },
    },
  );
  await settle();
  await ringOut("orders", id);
  await consume(told);
  return { id, object: stubOf("orders", id).id.toString() };
}

const storedInList = async () =>
  JSON.stringify(
    await Promise.all(
      (["instances", "labels", "counts", "alerts"] as const).map((table) => rowsOf(table)),
    ),
  );

describe("the list, of an order that is erased", () => {
  it("keeps nothing but that its object's id was used", async () => {
    const told = collect();
    const { id, object } = await listedOrder(told);
    expect(await rowOf(object)).toMatchObject({ id, status: "done" });
    expect(await storedInList()).toContain(canary);
    const late = told.splice(0);
    expect((await call("POST", `/orders/${id}/erase`)).status).toBe(200);
    await ringOut("orders", id);
    expect(told).toHaveLength(1);
    expect(await consume(told)).toMatchObject({ letters: [], acks: 1 });
    expect(await rowOf(object)).toMatchObject({ id: null, status: "erased" });
    expect(await storedInList()).not.toContain(canary);
    // What was under way before changes nothing any more.
    await consume(late);
    expect(await storedInList()).not.toContain(canary);
  });

  it("is told of one whose time after its end is over", async () => {
    const told = collect();
    setTime(began);
    const id = await start("fleeting");
    await send("fleeting", id, { type: "END" });
    await ringOut("fleeting", id);
    expect(told.at(-1)).toMatchObject({ status: "done", id });
    setTime(began + 60 * 60_000);
    await ringOut("fleeting", id);
    expect(told.at(-1)).toMatchObject({ status: "erased", id: "" });
    expect(await consume(told)).toMatchObject({ letters: [] });
    expect(await call("GET", `/fleeting/${id}`)).toMatchObject({ status: 410 });
  });

  it("is told so although a message was under way when it was erased", async () => {
    const told = collect();
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "END" });
    const held = Promise.withResolvers<void>();
    lister.send = (projection) => {
      told.push(projection);
      return held.promise;
    };
    setTime(began + 1_000);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(told).toMatchObject([{ status: "done" }]);
    expect((await call("POST", `/probes/${id}/erase`)).status).toBe(200);
    held.resolve();
    await settle();
    await ringOut("probes", id);
    expect(told.at(-1)).toMatchObject({ status: "erased", epoch: 2 });
    const tables = await runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
      storage.sql
        .exec<{ name: string }>(
          "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'",
        )
        .toArray()
        .map(({ name }) => name),
    );
    expect(tables.toSorted()).toEqual(["listed", "tombstone"]);
  });
});

describe("the list, of what is no ordinary instance", () => {
  it("finds it where it is paused, and where it is yet to begin", async () => {
    const told = collect();
    setTime(began);
    const [paused, later] = [await start("fleeting"), freshId()];
    await call("POST", `/fleeting/${paused}/pause`);
    const startAt = new Date(began + 60_000).toISOString();
    await call("POST", "/fleeting", { body: { id: later, startAt } });
    for (const id of [paused, later]) await ringOut("fleeting", id);
    await consume(told.splice(0));
    const found = async (status: string) => {
      const { body } = await call("GET", `/fleeting?status=${status}`);
      return (body as unknown as { instances: { id: string }[] }).instances.map(({ id }) => id);
    };
    expect(await found("paused")).toEqual([paused]);
    expect(await found("scheduled")).toEqual([later]);
    setTime(began + 60_000);
    await call("POST", `/fleeting/${paused}/resume`);
    for (const id of [paused, later]) await ringOut("fleeting", id);
    await consume(told);
    expect((await found("active")).toSorted()).toEqual([paused, later].toSorted());
    expect([...(await found("paused")), ...(await found("scheduled"))]).toEqual([]);
  });
});

describe("an order on which its chart throws", () => {
  it("is listed as blocked; its other timers and messages go on, and nobody else notices", async () => {
    const told = collect();
    setTime(began);
    const [poisoned, ...others] = await Promise.all(
      Array.from({ length: 8 }, () => start("probes")),
    );
    for (const id of [poisoned!, ...others]) {
      await send("probes", id, { type: "NAP" });
      await send("probes", id, { type: "TELL" });
    }
    await settle();
    const isPoisoned = { now: false };
    world.guard = () => {
      if (isPoisoned.now) throw new Error("no guard for this one");
      return true;
    };
    const sent: unknown[] = [];
    world.action = (params) => Promise.resolve(void sent.push(params));
    for (let passed = 60_000; passed < 60_000 * 20; passed += 60_000) {
      setTime(began + passed);
      for (const id of [poisoned!, ...others]) {
        isPoisoned.now = id === poisoned;
        await runDurableObjectAlarm(stubOf("probes", id));
        await settle();
      }
    }
    isPoisoned.now = true;
    const { body } = await call("GET", `/probes/${poisoned}`);
    expect(body).toMatchObject({
      state: "napping",
      // The reminder of TELL has fired beside it.
      context: { count: 2 },
      incidents: [{ kind: "blocked", error: expect.stringContaining("no guard for this one") }],
    });
    expect(sent).toEqual([]);
    await send("probes", poisoned!, { type: "TELL" });
    await settle();
    expect(sent).toEqual([{ count: 3 }]);
    isPoisoned.now = false;
    for (const id of others) {
      const { body: other } = await call("GET", `/probes/${id}`);
      expect(other).toMatchObject({ state: "idle", context: { count: 3 }, incidents: [] });
    }
    await consume(told);
    const { body: found } = await call("GET", "/probes?incident=blocked&limit=100");
    const listed = (found as unknown as { instances: { id: string }[] }).instances;
    expect(listed.map(({ id }) => id)).toEqual([poisoned]);
    await call("POST", `/probes/${poisoned}/retry`);
    expect(await call("GET", `/probes/${poisoned}`)).toMatchObject({
      body: { state: "idle", context: { count: 4 }, incidents: [] },
    });
  });
});
