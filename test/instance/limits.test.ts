import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { history, send, setTime, start, stubOf, view } from "../support/client.ts";

const began = 1_800_000_000_000;

beforeEach(() => {
  setTime(began);
});

afterEach(() => {
  vi.useRealTimers();
});

const evict = (id: string) => evictDurableObject(stubOf("crowds", id));
const ring = (id: string) => runDurableObjectAlarm(stubOf("crowds", id));
const look = (id: string) => view("crowds", id);
const set = (id: string, from: number, to: number) =>
  send("crowds", id, { type: "SET", data: { from, to } });
const spawn = (id: string, from: number, to: number) =>
  send("crowds", id, { type: "SPAWN", data: { from, to } });
const grow = (id: string, n: number, bytes: number) =>
  send("crowds", id, { type: "GROW", data: { n, bytes } });
const cancel = (id: string, n: number) => send("crowds", id, { type: "CANCEL", data: { n } });

/** What is on disk, and when the alarm rings: looking at the view would fire what is due. */
const onDisk = (id: string) =>
  runInDurableObject(stubOf("crowds", id), async (_instance, { storage }) => {
    const one = (query: string) =>
      storage.sql.exec<{ found: number }>(`SELECT ${query} AS found`).one().found;
    return {
      entries: one("(SELECT count(*) FROM journal)"),
      fired: one("(SELECT count(*) FROM journal WHERE type = 'TICK')"),
      alarm: await storage.getAlarm(),
    };
  });

const timerRows = (id: string) =>
  runInDurableObject(stubOf("crowds", id), (_instance, { storage }) =>
    storage.sql.exec<{ id: string; at: number }>("SELECT id, at FROM timers").toArray(),
  );

/** The whole database, to see that nothing has changed. */
const dump = (id: string) =>
  runInDurableObject(stubOf("crowds", id), (_instance, { storage }) => {
    const tables = storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
      .toArray()
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("_cf"));
    return JSON.stringify(
      tables.map((name) => [name, storage.sql.exec(`SELECT * FROM "${name}"`).toArray()]),
    );
  });

describe("timers", () => {
  it("are ten thousand at most: one more is refused, and nothing changes", async () => {
    const id = await start("crowds");
    const first = await set(id, 1, 10_000);
    expect(first).toMatchObject({ status: 200, body: { timerCount: 10_000 } });
    expect(first.body.timers).toHaveLength(20);
    const before = await dump(id);
    expect(await set(id, 10_001, 10_001)).toMatchObject({
      status: 422,
      body: {
        type: "urn:durachart:problem:unsupported",
        detail: expect.stringMatching(/over 10000 timers/) as string,
      },
    });
    expect(await dump(id)).toBe(before);
    await evict(id);
    expect((await look(id)).timerCount).toBe(10_000);
    expect((await set(id, 10_001, 10_001)).status).toBe(422);
    await cancel(id, 5_000);
    expect(await set(id, 10_001, 10_001)).toMatchObject({ body: { timerCount: 10_000 } });
  }, 30_000);

  it("of one event too many are refused at once", async () => {
    const id = await start("crowds");
    const before = await dump(id);
    expect((await set(id, 1, 10_001)).status).toBe(422);
    expect(await dump(id)).toBe(before);
    expect(await set(id, 1, 1)).toMatchObject({ body: { timerCount: 1 } });
  }, 30_000);

  it("fire in the order of their deadlines, 500 in one run of the alarm, the rest at once", async () => {
    const id = await start("crowds");
    await set(id, 1, 10_000);
    expect((await onDisk(id)).alarm).toBe(began + 1_001);
    const late = began + 60_000;
    setTime(late);
    for (let run = 1; run <= 20; run++) {
      if (run === 7) await evict(id);
      expect(await ring(id)).toBe(true);
      const { fired, alarm } = await onDisk(id);
      expect(fired).toBe(run * 500);
      // In the past: it rings again at once.
      if (run < 20) expect(alarm).toBe(began + 1_000 + run * 500 + 1);
      else expect(alarm).toBeNull();
    }
    expect(await look(id)).toMatchObject({
      context: { fired: 10_000, last: 10_000, isInOrder: true },
      timers: [],
      timerCount: 0,
    });
    expect(await timerRows(id)).toEqual([]);
  }, 60_000);

  it("are cancelled wherever they are kept", async () => {
    const id = await start("crowds");
    await set(id, 1, 100);
    const rows = (await timerRows(id)).map((row) => row.id);
    const inState = ["t100", "t99"];
    const inRows = ["t1", "t50"];
    expect(rows).toEqual(expect.arrayContaining(inRows));
    expect(rows).not.toEqual(expect.arrayContaining(inState));
    await evict(id);
    for (const n of [100, 1, 50, 99, 1]) expect((await cancel(id, n)).status).toBe(200);
    expect(await look(id)).toMatchObject({
      timerCount: 96,
      timers: [
        { event: "TICK", due: new Date(began + 1_002).toISOString() },
        ...Array.from({ length: 19 }, () => ({ event: "TICK" })),
      ],
    });
    setTime(began + 60_000);
    await ring(id);
    expect(await look(id)).toMatchObject({
      context: { fired: 96, last: 98, isInOrder: true },
      timerCount: 0,
    });
    const fired = (await history("crowds", id)).filter(({ event }) => event.type === "TICK");
    expect(fired).toHaveLength(96);
  });

  it("keep their deadlines over evictions and events", async () => {
    const id = await start("crowds");
    await set(id, 1, 40);
    const { timers } = await look(id);
    for (const passed of [100, 400, 999]) {
      setTime(began + passed);
      await evict(id);
      expect((await look(id)).timers).toEqual(timers);
      await cancel(id, 4_000 + passed);
      expect((await onDisk(id)).alarm).toBe(began + 1_001);
    }
    setTime(began + 1_000);
    await ring(id);
    expect((await onDisk(id)).fired).toBe(0);
    setTime(began + 1_003);
    await evict(id);
    await ring(id);
    expect(await onDisk(id)).toMatchObject({ fired: 3, alarm: began + 1_004 });
  });

  it("of the same name: the last that is set is the one that cancel finds", async () => {
    const id = await start("crowds");
    await set(id, 1, 30);
    setTime(began + 10);
    await set(id, 5, 5);
    expect((await look(id)).timerCount).toBe(31);
    await evict(id);
    await cancel(id, 5);
    expect((await look(id)).timerCount).toBe(30);
    await cancel(id, 5);
    expect((await look(id)).timerCount).toBe(30);
    setTime(began + 60_000);
    await ring(id);
    expect(await look(id)).toMatchObject({ context: { fired: 30, last: 30 }, timerCount: 0 });
  });
});

describe("children", () => {
  it("are a thousand at most: one more is refused, and nothing changes", async () => {
    const id = await start("crowds");
    expect(await spawn(id, 1, 1_000)).toMatchObject({ status: 200 });
    const before = await dump(id);
    expect(await spawn(id, 1_001, 1_001)).toMatchObject({
      status: 422,
      body: {
        type: "urn:durachart:problem:unsupported",
        detail: expect.stringMatching(/1001 actors.*at most 1000/) as string,
      },
    });
    expect(await dump(id)).toBe(before);
    await evict(id);
    expect((await look(id)).actors).toHaveLength(1_000);
    expect((await grow(id, 1_000, 10)).status).toBe(200);
    expect((await spawn(id, 1_001, 1_001)).status).toBe(422);
  }, 30_000);

  it("of one event too many are refused at once", async () => {
    const id = await start("crowds");
    const before = await dump(id);
    expect((await spawn(id, 1, 1_001)).status).toBe(422);
    expect(await dump(id)).toBe(before);
  }, 30_000);

  it("count for the size of the state, together", async () => {
    const id = await start("crowds");
    await spawn(id, 1, 10);
    for (let n = 1; n <= 10; n++) expect((await grow(id, n, 90_000)).status).toBe(200);
    const before = await dump(id);
    const refused = {
      status: 422,
      body: {
        type: "urn:durachart:problem:state-too-large",
        detail: expect.stringMatching(/at most 1000000/) as string,
      },
    };
    expect(await grow(id, 3, 200_000)).toMatchObject(refused);
    expect(await dump(id)).toBe(before);
    await evict(id);
    expect(await grow(id, 3, 200_000)).toMatchObject(refused);
    // What is freed by one may be used by another.
    expect((await grow(id, 1, 0)).status).toBe(200);
    expect((await grow(id, 2, 0)).status).toBe(200);
    expect((await grow(id, 3, 200_000)).status).toBe(200);
  });
});
