import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  eventually,
  history,
  operate,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { actorsInHand } from "../support/in-hand.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const minute = 60_000;

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
const ring = async (workflow: string, id: string) => {
  await runDurableObjectAlarm(stubOf(workflow, id));
  await settle();
};

describe("rewinding", () => {
  it("appends to the history; what came since is not undone in it, and keys are still known", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "COUNT" }, { key: "one" });
    await send("probes", id, { type: "COUNT" }, { key: "two" });
    const { body } = await operate("probes", id, "rewind", { to: 2, reason: "a mistake" });
    expect(body).toMatchObject({
      ...{ seq: 4, context: { count: 1 } },
      operation: { name: "rewind", changed: true, to: 2, left: [], maybeLeft: [], withdrawn: [] },
    });
    await evictDurableObject(stubOf("probes", id));
    expect(await send("probes", id, { type: "COUNT" }, { key: "two" })).toMatchObject({
      body: { outcome: "duplicate", first: { outcome: "applied", seq: 3 }, context: { count: 1 } },
    });
    const entries = await history("probes", id);
    expect(entries.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(entries.at(-1)).toMatchObject({
      ...{ by: "olga", event: { type: "durachart.rewound", data: { to: 2, reason: "a mistake" } } },
      changes: { context: { set: { count: 1 } } },
    });
    const again = await operate("probes", id, "rewind", { to: 2 });
    expect(again.body).toMatchObject({ seq: 4, operation: { changed: false } });
    const nowhere = await operate("probes", id, "rewind", { to: 4 });
    expect(nowhere.body.operation.changed).toBe(false);
  });

  it("stops what runs, and begins what ran then anew: the old one's result counts for nothing", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await begun(1);
    await send("probes", id, { type: "REST" });
    await send("probes", id, { type: "COUNT" });
    await send("probes", id, { type: "WORK" });
    await begun(2);
    const { body } = await operate("probes", id, "rewind", { to: 2 });
    expect(body).toMatchObject({
      ...{ state: "working", context: { count: 0 }, pending: 1 },
      operation: { restarted: ["actor work"] },
    });
    await begun(3);
    expect(new Set(runs.map((run) => run.id)).size).toBe(3);
    expect(runs.map(({ signal }) => signal.aborted)).toEqual([true, true, false]);
    // With the input that it had.
    expect(runs[2]!.input).toEqual({ count: 0 });
    runs[0]!.end = () => "first";
    runs[1]!.end = () => "second";
    await settle();
    expect(await view("probes", id)).toMatchObject({ state: "working", seq: 6 });
    runs[2]!.end = () => "third";
    const done = await eventually(
      () => view("probes", id),
      ({ state }) => state === "idle",
    );
    expect(done).toMatchObject({ context: { result: "third" }, pending: 0, seq: 7 });
  });

  it("to before an actor stops it for good", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await begun(1);
    const { body } = await operate("probes", id, "rewind", { to: 1 });
    expect(body).toMatchObject({ state: "idle", pending: 0, actors: [] });
    runs[0]!.end = () => "too late";
    await settle();
    expect(await view("probes", id)).toMatchObject({ seq: 3, context: { result: null } });
  });

  it("withdraws messages that were not tried yet, and tells of those that have left or may have", async () => {
    const sent: unknown[] = [];
    let isDown = false;
    world.action = (params) =>
      isDown ? Promise.reject(new Error("down")) : Promise.resolve(void sent.push(params));
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 0,
    );
    isDown = true;
    // The second holds the lane: the third waits behind it, untried.
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => view("probes", id),
      ({ pending, retrying }) => pending === 1 && retrying.length === 1,
    );
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 2,
    );
    const { body } = await operate("probes", id, "rewind", { to: 1 });
    expect(body.operation).toMatchObject({
      left: [
        { seq: 2, what: "command tellTheWorld" },
        { seq: 2, what: "emit world" },
        { seq: 3, what: "emit world" },
        { seq: 4, what: "emit world" },
      ],
      maybeLeft: [{ seq: 3, what: "command tellTheWorld" }],
      withdrawn: [{ seq: 4, what: "command tellTheWorld" }],
    });
    expect(body).toMatchObject({ pending: 0, timers: [] });
    isDown = false;
    await evictDurableObject(stubOf("probes", id));
    setTime(began + 25 * 60 * minute);
    await ring("probes", id);
    expect(sent).toEqual([{ count: 1 }]);
    // What never left is not told as left the next time.
    await send("probes", id, { type: "COUNT" });
    const { body: second } = await operate("probes", id, "rewind", { to: 2 });
    expect(JSON.stringify(second.operation["left"])).not.toContain('"seq":4,"what":"command');
  });

  it("fires deadlines that have passed; with shiftTimers they wait as long as they then did", async () => {
    const ids = [await start("probes"), await start("probes")] as const;
    for (const id of ids) await send("probes", id, { type: "NAP" });
    setTime(began + 10_000);
    for (const id of ids) await send("probes", id, { type: "REST" });
    setTime(began + 10 * minute);
    const fired = await operate("probes", ids[0], "rewind", { to: 2 });
    expect(fired.body).toMatchObject({ state: "idle", context: { count: 1 }, timers: [] });
    const shifted = await operate("probes", ids[1], "rewind", { to: 2, shiftTimers: true });
    expect(shifted.body).toMatchObject({
      state: "napping",
      timers: [{ due: new Date(began + 11 * minute).toISOString() }],
    });
    await evictDurableObject(stubOf("probes", ids[1]));
    setTime(began + 11 * minute);
    await ring("probes", ids[1]);
    expect(await view("probes", ids[1])).toMatchObject({ state: "idle", context: { count: 1 } });
  });

  it("wakes what is done, and it comes to its end again", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "COUNT" });
    await send("probes", id, { type: "END" });
    expect((await send("probes", id, { type: "COUNT" })).status).toBe(409);
    await evictDurableObject(stubOf("probes", id));
    const { body } = await operate("probes", id, "rewind", { to: 2 });
    expect(body).toMatchObject({ status: "active", state: "idle", context: { count: 1 } });
    await send("probes", id, { type: "COUNT" });
    await send("probes", id, { type: "END" });
    expect(await view("probes", id)).toMatchObject({ status: "done", context: { count: 2 } });
  });

  it("of what was terminated goes on where it was", async () => {
    const { begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await begun(1);
    await operate("probes", id, "terminate");
    const { body } = await operate("probes", id, "rewind", { to: 2 });
    expect(body).toMatchObject({ status: "active", state: "working", pending: 1 });
    await begun(2);
  });

  it("while it is paused leaves it paused", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "COUNT" });
    await operate("probes", id, "pause");
    await send("probes", id, { type: "COUNT" });
    const { body } = await operate("probes", id, "rewind", { to: 1 });
    expect(body).toMatchObject({ status: "paused", context: { count: 0 }, held: [{ seq: 4 }] });
    await evictDurableObject(stubOf("probes", id));
    await operate("probes", id, "resume");
    expect(await view("probes", id)).toMatchObject({ context: { count: 1 }, held: [] });
  });
});

describe("rewinding a family", () => {
  const tell = (id: string, type: string, data?: object) => send("families", id, { type, data });

  it("brings back child machines as they were, their timers and their promises too", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("families");
    await tell(id, "BEAR");
    await tell(id, "TO_YOUNGEST", { type: "WORK" });
    await tell(id, "TO_ELDEST", { type: "POKE" });
    await begun(1);
    const then = await view("families", id);
    expect(then.actors.map((actor) => actor.id)).toContain("youngest/grandchild");
    await tell(id, "STOP_YOUNGEST");
    await tell(id, "MIND");
    await tell(id, "LEAVE");
    expect((await view("families", id)).actors.map((actor) => actor.id)).toEqual(["tally"]);
    runs[0]!.end = () => "old";
    await settle();
    await evictDurableObject(stubOf("families", id));
    const { body } = await operate("families", id, "rewind", { to: then.seq });
    expect(body.operation["restarted"]).toEqual(["actor work"]);
    const { state, context, actors, timers } = body;
    expect({ state, context, timers }).toEqual({
      ...{ state: then.state, timers: then.timers },
      context: { ...then.context, youngest: expect.anything() as unknown },
    });
    expect(actors).toEqual(then.actors);
    await begun(2);
    runs[1]!.end = () => "new";
    await eventually(
      () => history("families", id),
      (entries) => entries.at(-1)!.event.type === "xstate.done.actor.work",
    );
    expect((await history("families", id)).at(-1)!.event.data).toBe("new");
    // They are reached by their references and their system ids as before.
    await evictDurableObject(stubOf("families", id));
    await tell(id, "TO_YOUNGEST", { type: "POKE" });
    await tell(id, "STOP_YOUNGEST");
    setTime(began + minute);
    await ring("families", id);
    const { log } = (await view("families", id)).context as { log: string[] };
    expect(log.at(-1)).toBe("eldest woke");
  });
});

describe("rewinding what has another instance as its actor", () => {
  const wait = (task: string) => ({ type: "WAIT", data: { input: { task } } });
  const helperOf = async (id: string) =>
    (
      await eventually(
        () => view("parents", id),
        ({ actors }) => actors[0]?.instance !== undefined,
      )
    ).actors[0]!.instance!.id;
  const isThere = (id: string) =>
    eventually(
      () => view("helpers", id),
      ({ status }) => status === "active",
    );

  it("leaves one that still works alone; its outcome counts", async () => {
    const id = await start("parents", wait("dig"));
    const helper = await helperOf(id);
    await isThere(helper);
    await send("parents", id, { type: "CALL", data: { n: 1 } });
    const { body } = await operate("parents", id, "rewind", { to: 2 });
    expect(body).toMatchObject({
      ...{ state: "waiting", actors: [{ id: "invoked", instance: { id: helper } }] },
      operation: { restarted: [], started: [] },
    });
    await send("helpers", helper, { type: "FINISH", data: "hole" });
    const done = await eventually(
      () => view("parents", id),
      ({ state }) => state === "served",
    );
    expect(done.context["reports"]).toHaveLength(1);
  });

  it("to before it tells it to stop, and says that it was started", async () => {
    const id = await start("parents");
    await send("parents", id, wait("dig"));
    const helper = await helperOf(id);
    await isThere(helper);
    const { body } = await operate("parents", id, "rewind", { to: 1 });
    expect(body).toMatchObject({
      ...{ state: "idle", actors: [] },
      operation: { started: [{ seq: 2, workflow: "helpers", id: helper }] },
    });
    await eventually(
      () => view("helpers", helper),
      ({ state }) => state === "dismissed",
    );
    await settle();
    expect(await view("parents", id)).toMatchObject({ state: "idle", pending: 0, incidents: [] });
  });

  it("starts another where the one of then has come to its end", async () => {
    const id = await start("parents");
    await send("parents", id, wait("dig"));
    const first = await helperOf(id);
    await isThere(first);
    await send("helpers", first, { type: "FINISH", data: "hole" });
    await eventually(
      () => view("parents", id),
      ({ state }) => state === "served",
    );
    await operate("parents", id, "rewind", { to: 2 });
    const second = await helperOf(id);
    expect(second).not.toBe(first);
    await isThere(second);
    await send("helpers", second, { type: "FINISH", data: "deeper" });
    const done = await eventually(
      () => view("parents", id),
      ({ state }) => state === "served",
    );
    expect(done.context["reports"]).toMatchObject([{ output: { notes: ["deeper"] } }]);
  });

  it("a parent that is terminated tells its helper to stop", async () => {
    const id = await start("parents", wait("dig"));
    const helper = await helperOf(id);
    await isThere(helper);
    const { body } = await operate("parents", id, "terminate");
    expect(body).toMatchObject({ status: "stopped", actors: [] });
    await eventually(
      () => view("helpers", helper),
      ({ state }) => state === "dismissed",
    );
  });

  it("a helper that is terminated tells its parent", async () => {
    const id = await start("parents", wait("dig"));
    const helper = await helperOf(id);
    await isThere(helper);
    await operate("helpers", helper, "terminate");
    const done = await eventually(
      () => view("parents", id),
      ({ state }) => state === "failed",
    );
    expect(done.context["reports"]).toMatchObject([
      { error: { message: expect.stringMatching(/stopped/) as string } },
    ]);
  });

  it("whose parent was erased comes to its end all the same, and can be erased", async () => {
    const id = await start("parents", wait("dig"));
    const helper = await helperOf(id);
    await isThere(helper);
    await send("parents", id, { type: "END" });
    await eventually(
      () => view("parents", id),
      ({ pending }) => pending === 0,
    );
    // It takes its dismissal, and its outcome goes to nobody.
    await operate("parents", id, "erase", { force: true });
    const ended = await eventually(
      () => view("helpers", helper),
      ({ status, pending }) => status === "done" && pending === 0,
    );
    expect(ended.incidents).toEqual([]);
    expect((await operate("helpers", helper, "erase")).status).toBe(200);
  });
});
