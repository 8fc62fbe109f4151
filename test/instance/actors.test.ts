import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { View } from "../../src/index.ts";
import { eventually, history, send, setTime, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const minute = 60_000;

beforeEach(() => {
  resetWorld();
  setTime(began);
});

afterEach(() => {
  vi.useRealTimers();
});

const evict = (id: string) => evictDurableObject(stubOf("families", id));
/** Unlike an eviction, this waits for nothing that is running. */
const crash = (id: string) =>
  runInDurableObject(stubOf("families", id), (_instance, context) => {
    context.abort("crash");
  }).catch(() => {});
const ring = (id: string) => runDurableObjectAlarm(stubOf("families", id));
const tell = (id: string, type: string) => send("families", id, { type });
const to = (id: string, whom: "ELDEST" | "YOUNGEST" | "MINDED", type: string) =>
  send("families", id, { type: `TO_${whom}`, data: { type } });
const look = (id: string) => view("families", id);
const actorOf = ({ actors }: View, id: string) => actors.find((actor) => actor.id === id);

interface Row {
  id: string;
  machine?: { value: unknown; context: Record<string, unknown> };
  snapshot?: { context: unknown };
}

/** The actors' rows, by id; the eldest's and the youngest's children by `parent/id`. */
async function rowsOf(id: string): Promise<Record<string, Row>> {
  const rows = await runInDurableObject(stubOf("families", id), (_instance, { storage }) =>
    storage.sql.exec<{ body: string }>("SELECT body FROM actors ORDER BY key").toArray(),
  );
  const parsed = rows.map(({ body }) => JSON.parse(body) as Row & { key: number; parent: number });
  const nameOf = ({ id, parent }: { id: string; parent: number }): string => {
    const above = parsed.find(({ key }) => key === parent);
    return above === undefined ? id : `${nameOf(above)}/${id}`;
  };
  return Object.fromEntries(parsed.map((row) => [nameOf(row), row]));
}

const everything = async (id: string) => {
  const { id: _, createdAt: __, updatedAt: ___, ...rest } = await look(id);
  const entries = await history("families", id);
  return { rest, entries: entries.map(({ at: _at, ...entry }) => entry), rows: await rowsOf(id) };
};

describe("actors", () => {
  it("are shown with their place, their logic and their state", async () => {
    world.actor = () => new Promise(() => {});
    const id = await start("families");
    await tell(id, "BEAR");
    await to(id, "ELDEST", "WORK");
    const shown = [
      { id: "tally", src: "tally", status: "active" },
      { id: "eldest", src: "child", status: "active", state: "working" },
      { id: "eldest/grandchild", src: "grandchild", status: "active", state: "asleep" },
      { id: "youngest", src: "child", status: "active", state: "idle" },
      { id: "youngest/grandchild", src: "grandchild", status: "active", state: "asleep" },
      { id: "eldest/work", src: "work", status: "active" },
    ];
    expect((await look(id)).actors).toEqual(shown);
    await crash(id);
    expect((await look(id)).actors).toEqual(shown);
  });

  it("are sent to by id, by reference, by systemId, and by their children", async () => {
    const id = await start("families");
    await tell(id, "BEAR");
    await to(id, "ELDEST", "POKE");
    for (let count = 0; count < 2; count++) await to(id, "YOUNGEST", "POKE");
    await tell(id, "ADD");
    expect(await rowsOf(id)).toMatchObject({
      tally: { snapshot: { context: 13 } },
      "eldest/grandchild": { machine: { context: { pokes: 1 } } },
      "youngest/grandchild": { machine: { context: { pokes: 2 } } },
    });
  });

  it("have their own timers, however deep; what follows reaches the top in one step", async () => {
    const id = await start("families");
    setTime(began + minute / 2);
    await tell(id, "BEAR");
    expect(await look(id)).toMatchObject({ timerCount: 2 });
    await evict(id);
    setTime(began + minute);
    await ring(id);
    const first = await look(id);
    expect(first.context["log"]).toEqual(["eldest woke"]);
    expect(first.seq).toBe(3);
    expect(actorOf(first, "eldest/grandchild")).toMatchObject({ state: "awake" });
    expect(actorOf(first, "youngest/grandchild")).toMatchObject({ state: "asleep" });
    setTime(began + 1.5 * minute);
    await ring(id);
    expect((await look(id)).context["log"]).toEqual(["eldest woke", "youngest woke"]);
  });

  it("tell their parent each of their states where it wants to know", async () => {
    const id = await start("families");
    const before = (await look(id)).context["snapshots"] as number;
    await to(id, "ELDEST", "GUARDED");
    await evict(id);
    await to(id, "ELDEST", "GUARDED");
    expect((await look(id)).context["snapshots"]).toBe(before + 2);
  });

  it("hand their output on when they are done, and take their children with them", async () => {
    const id = await start("families");
    await to(id, "ELDEST", "GUARDED");
    await evict(id);
    await to(id, "ELDEST", "FINISH");
    const done = await look(id);
    expect(done).toMatchObject({ state: "alone", timers: [], timerCount: 0 });
    expect(done.context["log"]).toEqual([
      "TO_ELDEST",
      "TO_ELDEST",
      JSON.stringify({ name: "eldest", count: 1 }),
    ]);
    expect(done.actors.map((actor) => actor.id)).toEqual(["tally"]);
    expect(Object.keys(await rowsOf(id))).toEqual(["tally"]);
  });

  it("are the same after an eviction between any two steps", async () => {
    async function walk(disturb: (id: string) => Promise<void>) {
      setTime(began);
      world.actor = () => Promise.resolve("worked");
      const id = await start("families");
      const hasWorked = () =>
        eventually(
          () => look(id),
          ({ actors }) => actors.every(({ state }) => state !== "working"),
        );
      const steps: (() => Promise<unknown>)[] = [
        () => to(id, "ELDEST", "POKE"),
        () => tell(id, "BEAR"),
        () => to(id, "YOUNGEST", "POKE"),
        () => tell(id, "ADD"),
        () => to(id, "YOUNGEST", "WORK").then(hasWorked),
        () => to(id, "ELDEST", "WORK").then(hasWorked),
        () => {
          setTime(began + minute);
          return ring(id);
        },
        () => to(id, "ELDEST", "GUARDED"),
        () => to(id, "YOUNGEST", "POKE"),
        () => tell(id, "STOP_YOUNGEST"),
        () => to(id, "YOUNGEST", "POKE"),
        () => tell(id, "BEAR"),
        () => to(id, "YOUNGEST", "POKE"),
        () => to(id, "ELDEST", "FINISH"),
        () => tell(id, "ADD"),
      ];
      for (const step of steps) {
        await disturb(id);
        await step();
      }
      await disturb(id);
      return everything(id);
    }

    const undisturbed = await walk(() => Promise.resolve());
    const evicted = await walk(evict);
    expect(undisturbed.rest.state).toBe("alone");
    expect(undisturbed.rows).toMatchObject({
      tally: { snapshot: { context: 24 } },
      "youngest/grandchild": { machine: { context: { pokes: 1 } } },
    });
    expect(evicted).toEqual(undisturbed);
  });
});

describe("a throw in a child", () => {
  const broken = () => {
    world.guard = () => {
      throw new Error("the guard is broken");
    };
  };

  it("that nobody handles undoes the whole step: 422, and nothing has changed", async () => {
    const id = await start("families");
    await to(id, "ELDEST", "GUARDED");
    const before = await everything(id);
    broken();
    const answer = await to(id, "ELDEST", "GUARDED");
    expect(answer).toMatchObject({
      status: 422,
      body: {
        type: "urn:durachart:problem:step-failed",
        detail: expect.stringMatching(/guard is broken/) as string,
      },
    });
    expect(await everything(id)).toEqual(before);
    await evict(id);
    expect(await everything(id)).toEqual(before);
    world.guard = () => true;
    expect((await to(id, "ELDEST", "GUARDED")).status).toBe(200);
    expect((await rowsOf(id))["eldest"]!.machine!.context["count"]).toBe(2);
  });

  it("is its parent's to handle: the step counts, the child and what was below it are gone", async () => {
    const id = await start("families");
    await tell(id, "MIND");
    broken();
    const answer = await to(id, "MINDED", "GUARDED");
    expect(answer).toMatchObject({
      status: 200,
      body: {
        state: "alone",
        status: "active",
        context: { log: ["TO_MINDED", expect.stringMatching(/guard is broken/)] },
      },
    });
    await evict(id);
    expect((await look(id)).actors.map((actor) => actor.id)).toEqual(["tally"]);
    expect(await look(id)).toMatchObject({ timerCount: 0 });
  });
});

describe("a promise in a child", () => {
  const pause = (milliseconds: number) =>
    new Promise((resolve) => {
      setTimeout(resolve, milliseconds);
    });

  /** An actor that runs until the test lets it. */
  function slow() {
    const seen: { signal?: AbortSignal; isReleased: boolean; runs: number } = {
      isReleased: false,
      runs: 0,
    };
    world.actor = async ({ signal }) => {
      seen.signal = signal;
      seen.runs += 1;
      while (!seen.isReleased) await pause(2);
      return "too late";
    };
    return seen;
  }
  const begins = (seen: { runs: number }) =>
    eventually(
      () => Promise.resolve(seen.runs),
      (runs) => runs === 1,
    );

  it("answers the child, and the journal says which", async () => {
    world.actor = () => Promise.resolve("worked");
    const id = await start("families");
    await to(id, "ELDEST", "WORK");
    await eventually(
      () => rowsOf(id),
      (rows) => rows["eldest"]!.machine!.context["got"] === "worked",
    );
    expect((await history("families", id)).at(-1)).toMatchObject({
      event: { type: "xstate.done.actor.work", data: "worked" },
      by: "actor",
    });
  });

  it.each<[string, (id: string) => Promise<unknown>]>([
    ["the child leaves its state", (id) => to(id, "YOUNGEST", "REST")],
    ["the child is stopped", (id) => tell(id, "STOP_YOUNGEST")],
    ["the child comes to its end", (id) => to(id, "YOUNGEST", "FINISH")],
  ])("is told by its signal when %s, and its late result is dropped", async (_, end) => {
    const seen = slow();
    const id = await start("families");
    await tell(id, "BEAR");
    await to(id, "YOUNGEST", "WORK");
    await begins(seen);
    expect(seen.signal!.aborted).toBe(false);
    expect(await end(id)).toMatchObject({ status: 200 });
    expect(seen.signal!.aborted).toBe(true);
    const before = await everything(id);
    seen.isReleased = true;
    await pause(30);
    expect(await everything(id)).toEqual(before);
    const left = await runInDurableObject(stubOf("families", id), (_instance, { storage }) =>
      storage.sql.exec("SELECT * FROM effects").toArray(),
    );
    expect(left).toEqual([]);
  });

  it("of a state of its grandparent's that is left is told, too", async () => {
    const seen = slow();
    const id = await start("families");
    await tell(id, "MIND");
    await to(id, "MINDED", "WORK");
    await begins(seen);
    await tell(id, "LEAVE");
    expect(seen.signal!.aborted).toBe(true);
  });

  it("is taken over when its process has died, and answers the child", async () => {
    const ids: string[] = [];
    world.actor = ({ id, attempt }) => {
      ids.push(id);
      return attempt === 1 ? new Promise(() => {}) : Promise.resolve("taken over");
    };
    const id = await start("families");
    await to(id, "ELDEST", "WORK");
    await eventually(
      () => Promise.resolve(ids.length),
      (length) => length === 1,
    );
    await crash(id);
    setTime(began + minute / 2);
    await ring(id);
    await eventually(
      () => rowsOf(id),
      (rows) => rows["eldest"]!.machine!.context["got"] === "taken over",
    );
    expect(ids[1]).toBe(ids[0]);
  });
});
