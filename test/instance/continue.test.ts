import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventually, history, send, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";
import { TestSocket } from "../support/socket.ts";

const began = 1_800_000_000_000;
const hour = 3_600_000;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
});

const evict = (id: string) => evictDurableObject(stubOf("endless", id));
const ring = (id: string) => runDurableObjectAlarm(stubOf("endless", id));
const count = (id: string, key?: string) =>
  send("endless", id, { type: "COUNT" }, key === undefined ? {} : { key });

/** Counts until the instance has so many entries in this epoch, or has begun another. */
async function countTo(id: string, seq: number): Promise<void> {
  for (;;) {
    const before = await view("endless", id);
    if (before.seq >= seq) return;
    const { body } = await count(id);
    if (body.epoch !== before.epoch || body.seq >= seq) return;
  }
}

/** Fills the epoch, so that the next begins. */
async function fill(id: string): Promise<void> {
  const { epoch } = await view("endless", id);
  await countTo(id, 100);
  expect(await view("endless", id)).toMatchObject({ epoch: epoch + 1, seq: 1 });
}

const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);
const pause = (milliseconds: number) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

describe("a history that has become as long as the workflow allows", () => {
  it("begins again in the next epoch, its first entry the whole state", async () => {
    const id = await start("endless");
    await send("endless", id, { type: "POKE" });
    await countTo(id, 99);
    expect(await view("endless", id)).toMatchObject({ epoch: 1, seq: 99 });
    const hundredth = await count(id);
    expect(hundredth).toMatchObject({
      status: 200,
      body: { outcome: "applied", epoch: 2, seq: 1, context: { count: 98 } },
    });
    const entries = await history("endless", id);
    expect(entries).toMatchObject([
      {
        epoch: 2,
        seq: 1,
        event: { type: "durachart.continued", data: { epoch: 1, seq: 100 } },
        outcome: "applied",
        by: "durachart",
        state: "idle",
      },
    ]);
    const { changes } = entries[0]!;
    expect(changes.status).toBe("active");
    expect(changes.context).toEqual({ set: hundredth.body.context, unset: [] });
    expect(Object.values(changes.actors!)).toMatchObject([
      { id: "child", src: "child", machine: { value: "asleep", context: { pokes: 1 } } },
    ]);
  });

  it("goes on from there, epoch after epoch, over evictions", async () => {
    const id = await start("endless");
    await fill(id);
    await evict(id);
    expect(await count(id)).toMatchObject({ body: { epoch: 2, seq: 2, context: { count: 100 } } });
    await fill(id);
    await evict(id);
    const third = await count(id);
    expect(third).toMatchObject({ body: { epoch: 3, seq: 2 } });
    const entries = await history("endless", id);
    expect(entries.map(({ epoch, seq }) => [epoch, seq])).toEqual([
      [3, 1],
      [3, 2],
    ]);
    expect(third.body.context["count"]).toBe(199);
  });

  it("takes timers, children and pending work along", async () => {
    setTime(began);
    let isDown = true;
    const running = { isOver: false };
    const told: unknown[] = [];
    world.leave = (_, params, { id }) => {
      if (isDown) return Promise.reject(new Error("sink down"));
      told.push([params, id]);
      return Promise.resolve();
    };
    world.actor = async () => {
      while (!running.isOver) await pause(2);
      return "at last";
    };
    const id = await start("endless");
    for (const type of ["REMIND", "POKE", "TELL", "WORK"]) await send("endless", id, { type });
    const before = await view("endless", id);
    await fill(id);
    const after = await view("endless", id);
    expect(after.timers).toEqual(before.timers);
    expect(after.actors).toEqual(before.actors);
    expect(after.retrying).toMatchObject([{ what: "command tell", attempt: 1 }]);

    running.isOver = true;
    await eventually(
      () => view("endless", id),
      ({ context }) => context["got"] === "at last",
    );
    await evict(id);
    isDown = false;
    setTime(began + hour);
    await ring(id);
    await eventually(
      () => Promise.resolve(told.length),
      (length) => length === 1,
    );
    // The same id as on every try before: that of the epoch that it comes from.
    expect(told).toEqual([[{ n: 0 }, expect.stringMatching(`^tropical/endless/${id}/1-\\d+$`)]]);
    await send("endless", id, { type: "POKE" });
    setTime(began + 2 * hour);
    await ring(id);
    await evict(id);
    const last = await view("endless", id);
    expect(last).toMatchObject({
      epoch: 2,
      context: { rung: 1 },
      actors: [{ id: "child", state: "awake" }],
      timers: [],
      retrying: [],
    });
    const rows = await runInDurableObject(stubOf("endless", id), (_instance, { storage }) =>
      storage.sql.exec<{ body: string }>("SELECT body FROM actors").toArray(),
    );
    expect(rows.map(({ body }) => JSON.parse(body) as unknown)).toMatchObject([
      { machine: { context: { pokes: 2 } } },
    ]);
  });

  it("takes an actor along whose process dies in the new epoch", async () => {
    setTime(began);
    const seen: [string, number][] = [];
    world.actor = ({ id, attempt }) => {
      seen.push([id, attempt]);
      return attempt === 1 ? new Promise(() => {}) : Promise.resolve("taken over");
    };
    const id = await start("endless", { type: "WORK" });
    await fill(id);
    await runInDurableObject(stubOf("endless", id), (_instance, context) => {
      context.abort("crash");
    }).catch(() => {});
    setTime(began + 30_000);
    await ring(id);
    await eventually(
      () => view("endless", id),
      ({ context }) => context["got"] === "taken over",
    );
    expect(seen.map(([, attempt]) => attempt)).toEqual([1, 2]);
    expect(seen[1]![0]).toBe(seen[0]![0]);
  });

  it("still knows the keys of the epoch before", async () => {
    const id = await start("endless");
    await count(id, "k1");
    await countTo(id, 99);
    await count(id, "k2");
    expect(await view("endless", id)).toMatchObject({ epoch: 2, context: { count: 99 } });
    for (const [key, seq] of [
      ["k1", 2],
      ["k2", 100],
    ] as const) {
      expect(await count(id, key)).toMatchObject({
        status: 200,
        body: { outcome: "duplicate", first: { outcome: "applied", seq, epoch: 1 } },
      });
    }
    await evict(id);
    expect(await count(id, "k1")).toMatchObject({ body: { outcome: "duplicate" } });
    expect(await view("endless", id)).toMatchObject({ seq: 1, context: { count: 99 } });
    expect(await count(id, "k3")).toMatchObject({ body: { outcome: "applied" } });
    expect(await count(id, "k3")).toMatchObject({
      body: { outcome: "duplicate", first: { outcome: "applied", seq: 2 } },
    });
  });

  it("begins again once nothing is deferred any more", async () => {
    const id = await start("endless");
    await send("endless", id, { type: "LATER" });
    for (let n = 0; n < 100; n++) await count(id);
    expect(await view("endless", id)).toMatchObject({ epoch: 1, seq: 102 });
    world.actor = () => new Promise(() => {});
    const working = await send("endless", id, { type: "WORK" });
    expect(working).toMatchObject({
      body: { outcome: "applied", epoch: 2, seq: 1, deferred: [], context: { late: 1 } },
    });
    expect((await history("endless", id))[0]!.event).toEqual({
      type: "durachart.continued",
      data: { epoch: 1, seq: 104, head: expect.stringMatching(/^k1\./) as string },
    });
  });
});

describe("a watcher", () => {
  const places = (socket: TestSocket) => socket.entries.map(({ epoch, seq }) => [epoch, seq]);
  const open = (id: string, query = "") => TestSocket.open(`/endless/${id}/stream${query}`);
  const sees = (socket: TestSocket, length: number) =>
    eventually(
      () => Promise.resolve(places(socket)),
      (found) => found.length >= length,
    );

  it("that is there when the history begins again sees all of the old and of the new", async () => {
    const id = await start("endless");
    const socket = await open(id);
    await fill(id);
    await count(id);
    await evict(id);
    await count(id);
    await sees(socket, 102);
    expect(places(socket)).toEqual([
      ...range(2, 100).map((seq) => [1, seq]),
      ...range(1, 3).map((seq) => [2, seq]),
    ]);
    expect(socket.entries[99]!.event.type).toBe("durachart.continued");
    expect(new Set(socket.messages.map((message) => message.id)).size).toBe(103);
    socket.close();
  });

  it("that comes back with a place in the old epoch gets all of the new", async () => {
    const id = await start("endless");
    await fill(id);
    for (let n = 0; n < 4; n++) await count(id);
    for (const query of ["?after=2&epoch=1", "?after=90&epoch=1", "?after=90", "?after=0"]) {
      const socket = await open(id, query);
      await sees(socket, 5);
      expect(socket.views[0]).toMatchObject({ epoch: 2, seq: 5 });
      expect(places(socket)).toEqual(range(1, 5).map((seq) => [2, seq]));
      socket.close();
    }
  });

  it("that comes back with a place in the new one gets the rest", async () => {
    const id = await start("endless");
    await fill(id);
    for (let n = 0; n < 4; n++) await count(id);
    const socket = await open(id, "?after=2&epoch=2");
    await sees(socket, 3);
    await count(id);
    await sees(socket, 4);
    expect(places(socket)).toEqual(range(3, 6).map((seq) => [2, seq]));
    socket.close();
  });
});
