import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Store } from "../../src/instance/store.ts";
import {
  customer,
  eventually,
  history,
  send,
  setTime,
  service,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { world } from "../support/probe.ts";

const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const minute = 60_000;

beforeEach(() => {
  world.guard = () => true;
});

afterEach(() => {
  vi.useRealTimers();
});

const alarmOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => storage.getAlarm());

const inState = (state: string) => (found: { state: unknown }) =>
  JSON.stringify(found.state).includes(state);

describe("an eviction between any two steps", () => {
  async function walk(evict: (id: string) => Promise<void>) {
    const id = await start("orders", addPizza("p1"));
    const steps: (() => Promise<unknown>)[] = [
      () => send("orders", id, addPizza("p2"), { as: customer }),
      () => send("orders", id, { type: "REMOVE_PIZZA", data: { id: "p1" } }, { as: customer }),
      () => send("orders", id, { type: "CONFIRM_PIZZA" }, { as: customer, key: "confirm" }),
      () => eventually(() => view("orders", id), inState("waitingForPizzaToBeBaked")),
      () => send("orders", id, { type: "CONFIRM_PIZZA" }, { as: customer, key: "confirm" }),
      () => send("orders", id, { type: "PIZZA_IN_OVEN" }, { as: service }),
      () => send("orders", id, { type: "PIZZA_READY" }, { as: service }),
      () => eventually(() => view("orders", id), inState("waitingForPizzaToBeDelivered")),
      () => send("orders", id, { type: "PIZZA_READY" }, { as: service }),
      () => send("orders", id, { type: "PIZZA_DELIVERED" }, { as: service }),
    ];
    for (const step of steps) {
      await evict(id);
      await step();
    }
    await evict(id);
    const { id: _, createdAt: __, updatedAt: ___, ...rest } = await view("orders", id);
    const entries = await history("orders", id);
    return { rest, entries: entries.map(({ at: _at, ...entry }) => entry) };
  }

  it("gives the same result as none", async () => {
    const undisturbed = await walk(() => Promise.resolve());
    const evicted = await walk((id) => evictDurableObject(stubOf("orders", id)));
    expect(undisturbed.rest.state).toBe("delivered");
    expect(evicted).toEqual(undisturbed);
  });
});

describe("a timer", () => {
  it("fires once, not early, and once only, also after a restart", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    expect(await alarmOf("probes", id)).toBe(began + minute);
    await evictDurableObject(stubOf("probes", id));

    setTime(began + minute - 1);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(await view("probes", id)).toMatchObject({ state: "napping", seq: 2 });
    // What rang too early is set again, for the same moment.
    expect(await alarmOf("probes", id)).toBe(began + minute);

    await evictDurableObject(stubOf("probes", id));
    setTime(began + minute);
    expect(await runDurableObjectAlarm(stubOf("probes", id))).toBe(true);
    expect(await view("probes", id)).toMatchObject({
      state: "idle",
      context: { count: 1 },
      seq: 3,
    });
    expect(await alarmOf("probes", id)).toBeNull();
    expect(await runDurableObjectAlarm(stubOf("probes", id))).toBe(false);
    expect(await view("probes", id)).toMatchObject({ seq: 3 });
  });

  it("that is due comes before an event that arrives after it, however late the alarm", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    setTime(began + minute + 1);
    const late = await send("probes", id, { type: "REST" });
    expect(late).toMatchObject({ status: 409, body: { state: "idle" } });
    const entries = await history("probes", id);
    expect(entries.at(-1)).toMatchObject({ by: "timer", state: "idle" });
  });

  it("that was cancelled has no effect", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    await send("probes", id, { type: "REST" });
    setTime(began + 2 * minute);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(await view("probes", id)).toMatchObject({
      state: "idle",
      context: { count: 0 },
      seq: 3,
    });
  });

  it("keeps its deadline under a stream of events: the alarm only moves earlier", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    for (let passed = 1; passed <= 20; passed++) {
      setTime(began + passed * 1_000);
      await send("probes", id, { type: "COUNT" });
      expect(await alarmOf("probes", id)).toBe(began + minute);
    }
  });

  it("whose alarm was lost is found when the instance wakes up", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    await runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
      storage.deleteAlarm(),
    );
    expect(await alarmOf("probes", id)).toBeNull();
    await evictDurableObject(stubOf("probes", id));
    await view("probes", id);
    expect(await alarmOf("probes", id)).not.toBeNull();
  });

  it("is set again before its handler works, for should the handler die", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    let seen: number | null = null;
    world.guard = () => {
      seen = alarmsSet.at(-1) ?? null;
      return true;
    };
    const alarmsSet: number[] = [];
    await runInDurableObject(stubOf("probes", id), (_instance, { storage }) => {
      const setAlarm = storage.setAlarm.bind(storage);
      storage.setAlarm = (time, options) => {
        alarmsSet.push(Number(time));
        return setAlarm(time, options);
      };
    });
    setTime(began + minute);
    await runDurableObjectAlarm(stubOf("probes", id));
    expect(seen).toBe(began + minute + 30_000);
  });

  it("whose handler itself fails is kept, further apart: the platform would drop it", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    const stub = stubOf("probes", id);
    const rename = (from: string, to: string) =>
      runInDurableObject(stub, (_instance, { storage }) => {
        const { body } = storage.sql.exec<{ body: string }>("SELECT body FROM state").one();
        storage.sql.exec("UPDATE state SET body = ?", body.replace(from, to));
      });
    await rename('"value":"napping"', '"value":"vanished"');
    await evictDurableObject(stub);
    setTime(began + minute);
    for (let time = 1; time <= 8; time++) {
      await runDurableObjectAlarm(stub);
      expect(await alarmOf("probes", id)).toBe(began + minute + 10 * minute);
    }
    await rename('"value":"vanished"', '"value":"napping"');
    await evictDurableObject(stub);
    await runDurableObjectAlarm(stub);
    expect(await view("probes", id)).toMatchObject({ state: "idle", context: { count: 1 } });
  });

  it("that the chart throws on is put off, then blocked and shown; the instance goes on", async () => {
    const began = 1_800_000_000_000;
    setTime(began);
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    world.guard = () => {
      throw new Error("the guard is broken");
    };
    for (let attempt = 1; attempt <= 5; attempt++) {
      setTime(began + minute + attempt * minute);
      await runDurableObjectAlarm(stubOf("probes", id));
      await evictDurableObject(stubOf("probes", id));
    }
    const blocked = await view("probes", id);
    expect(blocked).toMatchObject({ state: "napping", seq: 2 });
    expect(blocked.incidents).toMatchObject([
      { kind: "blocked", error: expect.stringMatching(/guard is broken/) as string },
    ]);
    expect(await alarmOf("probes", id)).toBeNull();
    expect(await send("probes", id, { type: "COUNT" })).toMatchObject({ status: 200 });
  });

  it("rings by the real alarm", async () => {
    const id = await start("probes", { type: "TELL" });
    await runInDurableObject(stubOf("probes", id), (_instance, { storage }) => {
      const { body } = storage.sql.exec<{ body: string }>("SELECT body FROM state").one();
      const state = JSON.parse(body) as { timers: { at: number }[] };
      state.timers[0]!.at = Date.now() + 50;
      storage.sql.exec("UPDATE state SET body = ?", JSON.stringify(state));
    });
    await evictDurableObject(stubOf("probes", id));
    const fired = await eventually(
      () => view("probes", id),
      ({ context }) => context["count"] === 2,
    );
    expect(fired.timers).toEqual([]);
  });
});

describe("an instance of another deployment", () => {
  const catalogue = (id: string) =>
    runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
      storage.sql.exec("SELECT name, sql FROM sqlite_master WHERE name = 'record'").toArray(),
    );

  it.each([
    [
      "an older trigger",
      "DROP TRIGGER record; CREATE TRIGGER record INSTEAD OF INSERT ON happening BEGIN SELECT 1; END",
    ],
    ["none at all", "DROP TRIGGER record; DROP VIEW happening"],
  ])("gets this one's way of recording when it wakes up: %s", async (_, change) => {
    const id = await start("probes");
    const current = await catalogue(id);
    await runInDurableObject(stubOf("probes", id), (_instance, { storage }) => {
      storage.sql.exec(change);
    });
    await evictDurableObject(stubOf("probes", id));
    expect(await send("probes", id, { type: "COUNT" })).toMatchObject({ body: { seq: 2 } });
    expect(await history("probes", id)).toHaveLength(2);
    expect(await catalogue(id)).toEqual(current);
  });

  it("is brought up to date without a write when nothing has changed", async () => {
    const id = await start("probes");
    const statements = await runInDurableObject(stubOf("probes", id), (_instance, { storage }) => {
      const seen: string[] = [];
      const exec = storage.sql.exec.bind(storage.sql);
      const spy = (query: string, ...bindings: unknown[]) => {
        seen.push(query.slice(0, 6));
        return exec(query, ...bindings);
      };
      new Store({ exec: spy } as unknown as SqlStorage).renew();
      return seen;
    });
    expect(statements).toEqual(["SELECT"]);
  });
});

describe("an instance whose stored state doesn't fit", () => {
  it("is quarantined, untouched, and heals with the deployment", async () => {
    const id = await start("probes");
    const stub = stubOf("probes", id);
    const rename = (from: string, to: string) =>
      runInDurableObject(stub, (_instance, { storage }) => {
        const { body } = storage.sql.exec<{ body: string }>("SELECT body FROM state").one();
        storage.sql.exec("UPDATE state SET body = ?", body.replace(from, to));
      });
    await rename('"value":"idle"', '"value":"vanished"');
    await evictDurableObject(stub);
    const kept = await send("probes", id, { type: "COUNT" }, { key: "k1" });
    expect(kept).toMatchObject({
      status: 202,
      body: { outcome: "deferred", held: [{ type: "COUNT", seq: 2 }] },
    });
    const again = await send("probes", id, { type: "COUNT" }, { key: "k1" });
    expect(again.body).toMatchObject({ outcome: "duplicate", first: { seq: 2 } });
    expect(await view("probes", id)).toMatchObject({
      ...{ status: "quarantined", state: "vanished", context: { count: 0 } },
      incidents: [
        {
          kind: "quarantined",
          error: expect.stringMatching(/vanished/) as string,
          mend: `POST /probes/${id}/migrate`,
        },
      ],
    });
    expect(await history("probes", id)).toHaveLength(2);
    await rename('"value":"vanished"', '"value":"idle"');
    const healed = await send("probes", id, { type: "COUNT" });
    expect(healed).toMatchObject({ status: 200, body: { context: { count: 2 }, held: [] } });
    const told = (await history("probes", id)).map(({ event, outcome }) => [event.type, outcome]);
    expect(told).toEqual([
      ["durachart.started", "applied"],
      ["COUNT", "deferred"],
      ["COUNT", "applied"],
      ["COUNT", "applied"],
    ]);
  });
});
