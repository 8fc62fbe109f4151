import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { attachMeter } from "../../bench/meter.ts";
import {
  call,
  eventually,
  freshId,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { intercept, lister, resetLister } from "../support/lister.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const second = 1_000;
const minute = 60_000;

afterEach(() => {
  vi.useRealTimers();
  resetLister();
  resetWorld();
});

const stub = (id: string, workflow = "probes") => stubOf(workflow, id);

const alarmOf = (id: string) =>
  runInDurableObject(stub(id), (_instance, { storage }) => storage.getAlarm());

/** Lets what the alarm has begun come to its end. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 10));

/** Rings the alarm, whenever it is set for. */
async function ring(id: string, workflow = "probes"): Promise<void> {
  await runDurableObjectAlarm(stub(id, workflow));
  await settle();
}

/** Starts a probe that keeps an alarm: the clock stands, and only tests ring it. */
async function startProbe() {
  setTime(began);
  const id = freshId();
  const told = intercept(id);
  await call("POST", "/probes", { body: { id } });
  return { id, told };
}

describe("an instance", () => {
  it("tells the list of itself a second after it has changed", async () => {
    const { id, told } = await startProbe();
    expect(await alarmOf(id)).toBe(began + second);
    expect(told).toEqual([]);
    setTime(began + second);
    await ring(id);
    const object = stub(id).id.toString();
    expect(told).toEqual([
      {
        ...{ object, tenant: "tropical", workflow: "probes", id, jurisdiction: null },
        ...{ epoch: 1, seq: 1, revision: began + second, version: "1", status: "active" },
        ...{ state: "idle", states: ["idle"], attributes: { $owner: "olga" } },
        ...{ incidents: [], due: null, createdAt: began, updatedAt: began },
      },
    ]);
    expect(await alarmOf(id)).toBeNull();
    await ring(id);
    expect(told).toHaveLength(1);
  });

  it("tells it of an order: every active state's path, its attributes, and when it is due", async () => {
    setTime(began);
    const id = freshId();
    const told = intercept(id);
    const body = { id, input: { customer: "anna" }, event: addPizza };
    await call("POST", "/orders", { body });
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    await eventually(
      () => view("orders", id),
      ({ state }) => JSON.stringify(state).includes("waiting"),
    );
    setTime(began + second);
    await ring(id, "orders");
    expect(told).toMatchObject([
      {
        ...{ state: { bakePizza: "waitingForPizzaToBeBaked" }, due: began + 45 * minute },
        states: ["bakePizza", "bakePizza.waitingForPizzaToBeBaked"],
        attributes: { customer: "anna", $owner: "anna" },
      },
    ]);
  });

  it("tells it at most once a second, of the newest", async () => {
    const { id, told } = await startProbe();
    for (let n = 0; n < 5; n++) await send("probes", id, { type: "COUNT" });
    setTime(began + second);
    await ring(id);
    expect(told.map(({ seq }) => seq)).toEqual([6]);
    for (const after of [1, 300, 999]) {
      setTime(began + second + after);
      await send("probes", id, { type: "COUNT" });
      await ring(id);
      expect(await alarmOf(id)).toBe(began + 2 * second + after);
    }
    expect(told).toHaveLength(1);
    setTime(began + 2 * second);
    await ring(id);
    expect(told.map(({ seq }) => seq)).toEqual([6, 9]);
  });

  it("is not kept from it by deadlines of its own that come all the time", async () => {
    const { id, told } = await startProbe();
    for (let time = 300; time <= 10_000; time += 300) {
      setTime(began + time);
      await send("probes", id, { type: "COUNT" });
      await ring(id);
    }
    expect(told.length).toBeGreaterThanOrEqual(8);
    expect(told.length).toBeLessThanOrEqual(11);
    const seconds = told.map(({ revision }) => revision);
    for (const [index, at] of seconds.slice(1).entries()) {
      expect(at - seconds[index]!).toBeGreaterThanOrEqual(second);
    }
  });

  it("tells it of what happened while it was being told", async () => {
    const { id, told } = await startProbe();
    const latch = { isOpen: false };
    lister.send = async (projection) => {
      told.push(projection);
      while (!latch.isOpen) await settle();
    };
    setTime(began + second);
    await ring(id);
    await send("probes", id, { type: "COUNT" });
    // Should the answer never come, the alarm takes over.
    expect(await alarmOf(id)).toBe(began + second + 30_000);
    latch.isOpen = true;
    await settle();
    await settle();
    expect(await alarmOf(id)).toBe(began + 2 * second);
    setTime(began + 2 * second);
    await ring(id);
    expect(told.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it("tries again, further apart, where the queue fails; nothing else is disturbed", async () => {
    const { id, told } = await startProbe();
    lister.send = () => Promise.reject(new Error("the queue is down"));
    let now = began + second;
    const waits: number[] = [];
    for (let attempt = 1; attempt <= 6; attempt++) {
      setTime(now);
      await ring(id);
      expect(await send("probes", id, { type: "COUNT" })).toMatchObject({ status: 200 });
      const alarm = (await alarmOf(id))!;
      expect(alarm - now).toBeGreaterThan(second);
      expect(alarm - now).toBeLessThanOrEqual(second + second * 2 ** (attempt - 1));
      waits.push(alarm - now);
      now = alarm;
    }
    expect(await view("probes", id)).toMatchObject({ pending: 0, retrying: [], incidents: [] });
    lister.send = (projection) => Promise.resolve(void told.push(projection));
    setTime(now);
    await ring(id);
    expect(told.map(({ seq }) => seq)).toEqual([7]);
    expect(await alarmOf(id)).toBeNull();
  });

  it("tries again where the queue doesn't answer at all", async () => {
    const { id } = await startProbe();
    let calls = 0;
    const latch = { isOpen: false };
    lister.send = async () => {
      calls += 1;
      while (!latch.isOpen) await settle();
    };
    setTime(began + second);
    await ring(id);
    setTime(began + 20 * second);
    await ring(id);
    expect(calls).toBe(1);
    setTime(began + 31 * second);
    await ring(id);
    expect(calls).toBe(2);
    latch.isOpen = true;
    await settle();
    await settle();
    expect(await alarmOf(id)).toBeNull();
  });

  it("tells it of incidents, which come without anything happening", async () => {
    const { id, told } = await startProbe();
    await send("probes", id, { type: "NAP" });
    setTime(began + second);
    await ring(id);
    world.guard = () => {
      throw new Error("the guard is broken");
    };
    for (let attempt = 1; attempt <= 5; attempt++) {
      setTime(began + attempt * 2 * minute);
      await ring(id);
    }
    expect(told.map(({ seq }) => seq)).toEqual([2, 2]);
    expect(told[1]!.revision).toBeGreaterThan(told[0]!.revision);
    expect(told[1]!.incidents).toMatchObject([
      { kind: "blocked", error: expect.stringMatching(/guard is broken/) as string },
    ]);
  });

  it("is listed without attributes where they are of no use", async () => {
    const complaints = vi.spyOn(console, "error").mockReturnValue();
    const { id, told } = await startProbe();
    const useless: (() => unknown)[] = [
      () => {
        throw new Error("no attributes today");
      },
      () => null,
      () => [1],
      () => ({ a: {} }),
      () => ({ "a b": 1 }),
      () => ({ a: Number.NaN }),
      () => ({ a: "x".repeat(201) }),
      () => Promise.resolve({ a: 1 }),
      () => Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`a${index}`, 1])),
    ];
    for (const [index, attributes] of useless.entries()) {
      world.attributes = attributes;
      setTime(began + (index + 1) * minute);
      await send("probes", id, { type: "COUNT" });
      await ring(id);
      expect(told.at(-1)).toMatchObject({ seq: index + 2, attributes: {} });
    }
    expect(complaints).toHaveBeenCalledTimes(useless.length);
    complaints.mockRestore();
    world.attributes = (context) => {
      context.count = 1_000;
      return { count: context.count, isMany: true };
    };
    setTime(began + 30 * minute);
    await send("probes", id, { type: "COUNT" });
    await ring(id);
    expect(told.at(-1)).toMatchObject({ attributes: { count: 1_000, isMany: true } });
    expect(await view("probes", id)).toMatchObject({ context: { count: useless.length + 1 } });
  });

  it("that was killed right after its commit is learned of", async () => {
    const id = freshId();
    const told = intercept(id);
    await call("POST", "/probes", { body: { id } });
    await runInDurableObject(stub(id), (_instance, context) => context.abort("killed")).catch(
      () => {},
    );
    await vi.waitFor(() => expect(told.map(({ seq }) => seq)).toEqual([1]), 5_000);
  });

  it("writes for it a row, and two alarms, in a second in which it changes", async () => {
    const { id } = await startProbe();
    setTime(began + second);
    await ring(id);
    const { read } = await runInDurableObject(stub(id), (_instance, { storage }) => ({
      read: attachMeter(storage),
    }));
    setTime(began + minute);
    for (let n = 0; n < 10; n++) await send("probes", id, { type: "COUNT" });
    setTime(began + minute + second);
    await ring(id);
    const { rowsWritten, alarmsSet } = read();
    // Twenty for the events; the cursor; the alarm of the change, and the one against dying half-way.
    expect({ rowsWritten, alarmsSet }).toEqual({ rowsWritten: 21, alarmsSet: 2 });
  });
});

describe("an instance in quarantine", () => {
  const tables = (id: string) =>
    runInDurableObject(stub(id), (_instance, { storage }) =>
      ["identity", "state", "journal", "inbox", "effects"].map((table) =>
        storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
      ),
    );
  const rename = (id: string, from: string, to: string) =>
    runInDurableObject(stub(id), (_instance, { storage }) => {
      const { body } = storage.sql.exec<{ body: string }>("SELECT body FROM state").one();
      storage.sql.exec("UPDATE state SET body = ?", body.replace(from, to));
    });

  it("is listed as such, once, from its rows, which stay as they are; and heals", async () => {
    const complaints = vi.spyOn(console, "error").mockReturnValue();
    const { id, told } = await startProbe();
    world.attributes = () => ({ kind: "probe" });
    await send("probes", id, { type: "NAP" });
    setTime(began + second);
    await ring(id);
    await rename(id, '"value":"napping"', '"value":"vanished"');
    const before = await tables(id);
    await evictDurableObject(stub(id));
    setTime(began + minute);
    // Whoever looks at it wakes it up.
    expect(await view("probes", id)).toMatchObject({ status: "quarantined" });
    await ring(id);
    expect(told.at(-1)).toMatchObject({
      ...{ seq: 2, status: "quarantined", state: "vanished", states: ["vanished"], due: null },
      incidents: [{ kind: "quarantined", what: "probes version 1" }],
      attributes: { kind: "probe" },
    });
    expect(told.at(-1)!.incidents[0]!.error).toMatch(/doesn't fit/);
    for (let time = 2; time <= 5; time++) {
      setTime(began + time * 10 * minute);
      await ring(id);
      await evictDurableObject(stub(id));
    }
    expect(told).toHaveLength(2);
    expect(await tables(id)).toEqual(before);
    complaints.mockRestore();

    await rename(id, '"value":"vanished"', '"value":"napping"');
    await evictDurableObject(stub(id));
    await ring(id);
    expect(told.at(-1)).toMatchObject({ status: "active", incidents: [] });
  });
});

describe("wake", () => {
  const woken = (object: string) => env.INSTANCES.get(env.INSTANCES.idFromString(object));

  it("sets the alarm that was lost, and tells the list anew", async () => {
    const { id, told } = await startProbe();
    await send("probes", id, { type: "NAP" });
    setTime(began + second);
    await ring(id);
    await runInDurableObject(stub(id), (_instance, { storage }) => storage.deleteAlarm());
    setTime(began + 2 * minute);
    await woken(stub(id).id.toString()).wake();
    expect(await alarmOf(id)).toBe(began + 2 * second);
    await ring(id);
    expect(await view("probes", id)).toMatchObject({ state: "idle", seq: 3 });
    expect(told.map(({ seq }) => seq)).toEqual([2, 3]);
    // Though it is known.
    setTime(began + 3 * minute);
    await woken(stub(id).id.toString()).wake();
    await ring(id);
    expect(told.map(({ seq }) => seq)).toEqual([2, 3, 3]);
    expect(told[2]!.revision).toBeGreaterThan(told[1]!.revision);
  });

  it("finds what was evicted by the id alone, and it still answers to its name", async () => {
    const { id, told } = await startProbe();
    await evictDurableObject(stub(id));
    await woken(stub(id).id.toString()).wake();
    setTime(began + second);
    await ring(id);
    expect(told).toMatchObject([{ id, tenant: "tropical", seq: 1 }]);
    expect(await view("probes", id)).toMatchObject({ id, state: "idle" });
  });

  it("leaves nothing in an object that was never started, which may be started later", async () => {
    const id = freshId();
    await woken(stub(id).id.toString()).wake();
    const left = await runInDurableObject(stub(id), async (_instance, { storage }) => [
      storage.sql.exec("SELECT name FROM sqlite_master").toArray(),
      await storage.getAlarm(),
    ]);
    expect(left).toEqual([[], null]);
    expect(await call("POST", "/probes", { body: { id } })).toMatchObject({ status: 201 });
    expect(await view("probes", id)).toMatchObject({ id });
  });
});

describe("the whole way", () => {
  it("leads from an event to a row in D1", async () => {
    const id = await start("orders", addPizza);
    const object = stub(id, "orders").id.toString();
    await vi.waitFor(async () => {
      const row = await env.LIST.prepare("SELECT * FROM instances WHERE object = ?")
        .bind(object)
        .first();
      expect(row).toMatchObject({ id, tenant: "tropical", status: "active" });
    }, 10_000);
  });
});

const addPizza = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
