import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventually, send, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const second = 1_000;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const sendBy = (id: string, by: string[], n: number) =>
  send("lanes", id, { type: "SEND", data: { by, n } });
const say = (id: string, types: string[], n: number) =>
  send("lanes", id, { type: "SAY", data: { types, n } });
const work = (id: string, actor: string, from: number, to: number) =>
  send("lanes", id, { type: "WORK", data: { actor, from, to } });
const ring = (id: string) => runDurableObjectAlarm(stubOf("lanes", id));
const evict = (id: string) => evictDurableObject(stubOf("lanes", id));
const now = <Value>(value: Value) => Promise.resolve(value);
const pause = (milliseconds: number) =>
  new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });

/** Polls in the run's own context: a promise of the test's may not be awaited in another object. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await pause(2);
}

const waiting = (id: string) =>
  runInDurableObject(stubOf("lanes", id), (_instance, { storage }) =>
    storage.sql
      .exec<{ name: string; status: string; attempt: number; due: number }>(
        "SELECT name, status, attempt, due FROM effects ORDER BY key",
      )
      .toArray(),
  );
const allGone = (id: string) =>
  eventually(
    () => waiting(id),
    (rows) => rows.length === 0,
  );

/** What has left, as `name n`; `isDown` says of a name whether it fails. */
function record(isDown: (by: string) => boolean = () => false): string[] {
  const left: string[] = [];
  world.leave = (by, what) => {
    if (isDown(by)) return Promise.reject(new Error(`${by} is down`));
    const { n, type } = what as { n: number; type?: string };
    left.push(type === undefined ? `${by} ${n}` : `${by} ${n} ${type}`);
    return now(undefined);
  };
  return left;
}

describe("named actions of one destination", () => {
  it("leave in the order in which they were asked for, though the first fails for a while", async () => {
    setTime(began);
    let isDown = true;
    const left = record((by) => isDown && by !== "rail");
    const id = await start("lanes");
    for (const n of [1, 2, 3]) await sendBy(id, ["post", "rail"], n);
    await eventually(
      () => waiting(id),
      (rows) => rows.length === 3 && rows.every(({ status }) => status === "waiting"),
    );
    // The other destination's went on; of this one's, the first alone was tried.
    expect(left).toEqual(["rail 1", "rail 2", "rail 3"]);
    expect((await waiting(id)).map(({ attempt }) => attempt)).toEqual([1, 0, 0]);
    expect((await view("lanes", id)).retrying).toMatchObject([
      { what: "command post", attempt: 1, error: "Error: post is down" },
    ]);

    await evict(id);
    isDown = false;
    setTime(began + second);
    await ring(id);
    await allGone(id);
    expect(left.slice(3)).toEqual(["post 1", "post 2", "post 3"]);
  });

  it("share one lane, whatever they are called", async () => {
    let isOver = false;
    const begun: string[] = [];
    world.leave = (by, what) => {
      begun.push(`${by} ${(what as { n: number }).n}`);
      return by === "post" ? until(() => isOver) : now(undefined);
    };
    const id = await start("lanes");
    await sendBy(id, ["post", "courier", "rail"], 1);
    await eventually(
      () => now(begun),
      () => begun.includes("rail 1"),
    );
    await pause(20);
    expect(begun.toSorted()).toEqual(["post 1", "rail 1"]);
    isOver = true;
    await allGone(id);
    expect(begun.filter((one) => !one.startsWith("rail"))).toEqual(["post 1", "courier 1"]);
  });

  it("wait for no one that is parked", async () => {
    setTime(began);
    const left = record((by) => by === "post");
    const id = await start("lanes");
    await sendBy(id, ["post", "courier"], 1);
    await eventually(
      () => view("lanes", id),
      ({ retrying }) => retrying.length === 1,
    );
    setTime(began + 25 * 3_600 * second);
    await ring(id);
    await eventually(
      () => now(left),
      () => left.length === 1,
    );
    expect(left).toEqual(["courier 1"]);
    expect((await view("lanes", id)).incidents).toMatchObject([
      { kind: "exhausted", what: "command post" },
    ]);
  });
});

describe("emitted events", () => {
  it("go to every route that takes their type", async () => {
    const left = record();
    const id = await start("lanes");
    await say(id, ["order.made", "weather", "order.eaten"], 1);
    await allGone(id);
    const by = (name: string) => left.filter((one) => one.startsWith(`${name} `));
    expect(by("made")).toEqual(["made 1 order.made"]);
    expect(by("orders")).toEqual(["orders 1 order.made", "orders 1 order.eaten"]);
    expect(by("all")).toEqual(["all 1 order.made", "all 1 weather", "all 1 order.eaten"]);
  });

  it("have an id of their own on each route, the same on every repeat", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.001);
    const ids: Record<string, string[]> = {};
    world.leave = (by, _, { id, attempt }) => {
      (ids[by] ??= []).push(id);
      return attempt === 1 ? Promise.reject(new Error("not yet")) : now(undefined);
    };
    const id = await start("lanes");
    await say(id, ["order.made"], 1);
    await allGone(id);
    for (const tries of Object.values(ids)) expect(new Set(tries).size).toBe(1);
    expect(new Set(Object.values(ids).flat()).size).toBe(3);
  });

  it.each([
    ["undisturbed", () => now(undefined)],
    ["over an eviction", evict],
  ])("keep their order on each route, and hold up no other: %s", async (_, disturb) => {
    setTime(began);
    let isDown = true;
    const left = record((by) => isDown && by === "all");
    const id = await start("lanes");
    await say(id, ["order.made", "weather"], 1);
    await say(id, ["weather", "order.eaten", "order.made", "weather"], 2);
    await eventually(
      () => waiting(id),
      (rows) => rows.length === 6 && rows.every(({ status }) => status === "waiting"),
    );
    expect(left.filter((one) => one.startsWith("orders"))).toEqual([
      "orders 1 order.made",
      "orders 2 order.eaten",
      "orders 2 order.made",
    ]);
    await disturb(id);
    isDown = false;
    setTime(began + second);
    await ring(id);
    await allGone(id);
    expect(left.filter((one) => one.startsWith("all"))).toEqual([
      "all 1 order.made",
      "all 1 weather",
      "all 2 weather",
      "all 2 order.eaten",
      "all 2 order.made",
      "all 2 weather",
    ]);
  });
});

describe("the actors of one instance", () => {
  const numberOf = (input: unknown) => (input as { n: number }).n;

  it("run fifty at once; the rest follows as they finish, oldest first", async () => {
    const begun: number[] = [];
    const released = new Set<number>();
    let inside = 0;
    let most = 0;
    world.actor = async ({ input }) => {
      const n = numberOf(input);
      begun.push(n);
      inside += 1;
      most = Math.max(most, inside);
      await until(() => released.has(n));
      inside -= 1;
      return n;
    };
    const haveBegun = (count: number) =>
      eventually(
        () => now(begun.length),
        (length) => length === count,
      );
    const id = await start("lanes");
    await work(id, "toil", 1, 120);
    await haveBegun(50);
    await pause(20);
    expect(begun).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
    for (const n of [7, 8, 9]) released.add(n);
    await haveBegun(53);
    expect(begun.slice(50)).toEqual([51, 52, 53]);
    for (let n = 1; n <= 120; n++) released.add(n);
    const done = await eventually(
      () => view("lanes", id),
      ({ context }) => (context["done"] as string[]).length === 120,
    );
    expect(new Set(done.context["done"] as string[]).size).toBe(120);
    expect(most).toBe(50);
  });

  it("are none of them lost over a crash with fifty running and more waiting", async () => {
    setTime(began);
    let isLost = true;
    const tries: [number, number][] = [];
    world.actor = ({ input, attempt }) => {
      tries.push([numberOf(input), attempt]);
      return isLost ? new Promise(() => {}) : now(numberOf(input));
    };
    const id = await start("lanes");
    await work(id, "toil", 1, 70);
    await eventually(
      () => now(tries.length),
      (count) => count === 50,
    );
    await runInDurableObject(stubOf("lanes", id), (_instance, context) => {
      context.abort("crash");
    }).catch(() => {});
    isLost = false;
    tries.length = 0;
    await view("lanes", id);
    setTime(began + 30 * second);
    await ring(id);
    const done = await eventually(
      () => view("lanes", id),
      ({ context }) => (context["done"] as string[]).length === 70,
    );
    expect(new Set(done.context["done"] as string[]).size).toBe(70);
    expect(tries.filter(([n]) => n <= 50).every(([, attempt]) => attempt === 2)).toBe(true);
    expect(tries.filter(([n]) => n > 50).every(([, attempt]) => attempt === 1)).toBe(true);
    expect(await waiting(id)).toEqual([]);
  });
});

describe("a destination with limits", () => {
  it("is called so many times at once, whichever instances call", async () => {
    let inside = 0;
    let most = 0;
    world.actor = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await pause(10);
      inside -= 1;
      return "printed";
    };
    const ids = await Promise.all(Array.from({ length: 4 }, () => start("lanes")));
    await Promise.all(ids.map((id) => work(id, "press", 1, 3)));
    for (const id of ids) {
      await eventually(
        () => view("lanes", id),
        ({ context }) => (context["done"] as string[]).length === 3,
      );
    }
    expect(most).toBe(2);
  });

  it("is not called for what nobody waits for any more when its turn comes", async () => {
    let isOver = false;
    const begun: unknown[] = [];
    world.actor = async ({ input }) => {
      begun.push(input);
      await until(() => isOver);
      return "through";
    };
    const id = await start("lanes");
    await work(id, "gate", 1, 2);
    await eventually(
      () => now(begun.length),
      (count) => count === 1,
    );
    await pause(20);
    await send("lanes", id, { type: "STOP", data: { id: "gate-2" } });
    isOver = true;
    await eventually(
      () => view("lanes", id),
      ({ context }) => (context["done"] as string[]).length === 1,
    );
    await pause(20);
    expect(begun).toEqual([{ n: 1 }]);
    // And the place it would have had is free for the next.
    await work(id, "gate", 3, 3);
    await eventually(
      () => view("lanes", id),
      ({ context }) => (context["done"] as string[]).length === 2,
    );
  });

  it("is called so many times a minute: the next waits for its turn", async () => {
    const at: number[] = [];
    world.leave = () => {
      at.push(performance.now());
      return now(undefined);
    };
    const id = await start("lanes");
    const other = await start("lanes");
    await sendBy(id, ["stamp"], 1);
    await allGone(id);
    await sendBy(other, ["stamp"], 2);
    await allGone(other);
    expect(at).toHaveLength(2);
    expect(at[1]! - at[0]!).toBeGreaterThan(0.9 * second);
  });

  it("with a long wait lets the instance sleep until its turn, and counts no try for it", async () => {
    setTime(began);
    const attempts: number[] = [];
    world.leave = (_by, _what, { attempt }) => {
      attempts.push(attempt);
      return now(undefined);
    };
    const id = await start("lanes");
    await sendBy(id, ["letterbox"], 1);
    await allGone(id);
    await sendBy(id, ["letterbox"], 2);
    const [row] = await eventually(
      () => waiting(id),
      (rows) => rows[0]?.status === "waiting",
    );
    expect(row).toEqual({
      name: "letterbox",
      status: "waiting",
      attempt: 0,
      due: began + 60 * second,
    });
    expect((await view("lanes", id)).retrying).toEqual([]);
    await evict(id);
    setTime(began + 60 * second);
    await ring(id);
    await allGone(id);
    expect(attempts).toEqual([1, 1]);
  });
});
