import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  eventually,
  history,
  operate,
  send,
  service,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { actorsInHand } from "../support/in-hand.ts";
import { resetWorld } from "../support/probe.ts";

const began = 1_800_000_000_000;
const minute = 60_000;
const letter = (n: number) => ({ type: "LETTER", data: { n } });

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const alarmOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => storage.getAlarm());

const effectsOf = (id: string) =>
  runInDurableObject(stubOf("probes", id), (_instance, { storage }) =>
    storage.sql.exec("SELECT status, due FROM effects").toArray(),
  );

/** The journal in short, from an entry on. */
const told = async (workflow: string, id: string, after = 1) =>
  (await history(workflow, id))
    .slice(after)
    .map(({ event, outcome, by }) => `${event.type} ${outcome} ${by}`);

describe("a paused instance", () => {
  it("keeps events and fires nothing, also over an eviction; its deadlines stay", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    const { body } = await operate("probes", id, "pause", { reason: "stocktaking" });
    expect(body).toMatchObject({
      ...{ status: "paused", state: "napping", seq: 3 },
      paused: { since: new Date(began).toISOString(), by: "olga" },
      timers: [{ due: new Date(began + minute).toISOString() }],
      operation: { name: "pause", changed: true },
    });
    expect(await alarmOf("probes", id)).toBe(began + minute);
    setTime(began + 2 * minute);
    await runDurableObjectAlarm(stubOf("probes", id));
    await evictDurableObject(stubOf("probes", id));
    const kept = await send("probes", id, { type: "COUNT" }, { key: "k" });
    expect(kept).toMatchObject({
      status: 202,
      body: { outcome: "deferred", held: [{ type: "COUNT", seq: 4 }], context: { count: 0 } },
    });
    expect(await view("probes", id)).toMatchObject({ status: "paused", state: "napping", seq: 4 });
    expect(await alarmOf("probes", id)).toBeNull();
    expect((await history("probes", id))[2]).toMatchObject({
      event: { type: "durachart.paused", data: { reason: "stocktaking" } },
      by: "olga",
    });
  });

  it("goes on with what came and what fell due, in the order of its times", async () => {
    actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 0,
    );
    setTime(began + 1_000);
    await send("probes", id, { type: "NAP" });
    await operate("probes", id, "pause");
    setTime(began + 30_000);
    await send("probes", id, { type: "COUNT" });
    setTime(began + minute + 500);
    await send("probes", id, { type: "GROW", data: { bytes: 1 } });
    await evictDurableObject(stubOf("probes", id));
    setTime(began + 5 * minute);
    await send("probes", id, { type: "WORK" });
    const before = (await view("probes", id)).seq;
    const { body } = await operate("probes", id, "resume");
    expect(body).toMatchObject({ status: "active", held: [], timers: [] });
    expect(body).not.toHaveProperty("paused");
    expect(await told("probes", id, before)).toEqual([
      "durachart.resumed applied olga",
      "COUNT applied olga",
      "LATER applied timer",
      "GROW applied olga",
      "xstate.after.nap.probe.napping applied timer",
      "WORK applied olga",
    ]);
  });

  it("treats each held event as it would have been: bad, not allowed, deferred", async () => {
    const id = await start("mailboxes");
    await operate("mailboxes", id, "pause");
    expect((await send("mailboxes", id, { type: "LETTER", data: {} })).status).toBe(422);
    expect((await send("mailboxes", id, { type: "NO_SUCH" })).status).toBe(422);
    const stranger = { ...service, roles: ["customer"] };
    expect((await send("mailboxes", id, letter(1), { as: stranger })).status).toBe(403);
    const before = (await view("mailboxes", id)).seq;
    expect(before).toBe(2);
    for (const event of [
      letter(1),
      { type: "NOTE", data: { n: 2 } },
      { type: "OPEN" },
      { type: "SPOIL" },
      { type: "BREAK" },
      letter(3),
    ]) {
      expect(await send("mailboxes", id, event, { as: service })).toMatchObject({ status: 202 });
    }
    expect((await view("mailboxes", id)).held).toHaveLength(6);
    await operate("mailboxes", id, "resume");
    expect(await told("mailboxes", id, 9)).toEqual([
      "LETTER deferred kitchen",
      "NOTE late kitchen",
      "OPEN applied kitchen",
      "LETTER applied kitchen",
      // The chart throws on it: it is kept for another state, or for a person.
      "SPOIL deferred kitchen",
      "BREAK applied kitchen",
      "SPOIL late kitchen",
      "LETTER late kitchen",
    ]);
    expect(await view("mailboxes", id)).toMatchObject({
      ...{ status: "done", held: [], deferred: [], context: { got: [1] } },
    });
  });

  it("answers a repeat of a held event with the first answer, before and after", async () => {
    const id = await start("probes");
    await operate("probes", id, "pause");
    const first = await send("probes", id, { type: "COUNT" }, { key: "k" });
    expect(first.body.outcome).toBe("deferred");
    const again = await send("probes", id, { type: "COUNT" }, { key: "k" });
    expect(again.body).toMatchObject({
      ...{ outcome: "duplicate", first: { outcome: "deferred", seq: 3 } },
      held: [{ seq: 3 }],
    });
    expect(await send("probes", id, { type: "REST" }, { key: "k" })).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:key-reused" },
    });
    await operate("probes", id, "resume");
    expect(await send("probes", id, { type: "COUNT" }, { key: "k" })).toMatchObject({
      body: { outcome: "duplicate", first: { outcome: "deferred", seq: 3 }, context: { count: 1 } },
    });
  });

  it("keeps a hundred events and refuses the next; none is lost", async () => {
    const id = await start("probes");
    await operate("probes", id, "pause");
    for (let kept = 0; kept < 100; kept++) await send("probes", id, { type: "COUNT" });
    expect(await send("probes", id, { type: "COUNT" })).toMatchObject({
      status: 429,
      body: { type: "urn:durachart:problem:too-many-deferred" },
    });
    expect((await view("probes", id)).seq).toBe(102);
    await operate("probes", id, "resume");
    expect(await view("probes", id)).toMatchObject({ held: [], context: { count: 100 } });
  });

  it("lets what was asked for go on, and its results wait for their turn", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await begun(1);
    await operate("probes", id, "pause");
    setTime(began + 1_000);
    runs[0]!.end = () => Promise.reject(new Error("not yet"));
    await eventually(
      () => view("probes", id),
      ({ retrying }) => retrying.length === 1,
    );
    setTime(began + minute);
    await runDurableObjectAlarm(stubOf("probes", id));
    await begun(2);
    runs[1]!.end = () => "done at last";
    await eventually(
      () => effectsOf(id),
      ([effect]) => effect?.["status"] === "settling",
    );
    setTime(began + 2 * minute);
    // It came after the result: it can't take the state away from under it.
    await send("probes", id, { type: "REST" });
    await evictDurableObject(stubOf("probes", id));
    expect(await view("probes", id)).toMatchObject({ state: "working", context: { result: null } });
    await operate("probes", id, "resume");
    expect(await view("probes", id)).toMatchObject({
      ...{ state: "idle", pending: 0, context: { result: "done at last" } },
    });
    expect(await told("probes", id, 4)).toEqual([
      "durachart.resumed applied olga",
      "xstate.done.actor.work applied actor",
      // Who sent it waits for no answer any more: it is treated as what comes by a queue.
      "REST deferred olga",
    ]);
  });

  it("that is paused or resumed again stays as it is", async () => {
    const id = await start("probes");
    expect((await operate("probes", id, "resume")).body.operation.changed).toBe(false);
    await operate("probes", id, "pause");
    const { body } = await operate("probes", id, "pause");
    expect(body).toMatchObject({ status: "paused", seq: 2, operation: { changed: false } });
    await operate("probes", id, "resume");
    expect(await operate("probes", id, "resume")).toMatchObject({ body: { seq: 3 } });
  });

  it("that is terminated files what it has kept; a finished one can't be paused", async () => {
    const id = await start("probes");
    await operate("probes", id, "pause");
    await send("probes", id, { type: "COUNT" });
    const { body } = await operate("probes", id, "terminate");
    expect(body).toMatchObject({ status: "stopped", held: [], timers: [], context: { count: 0 } });
    expect(await told("probes", id, 3)).toEqual([
      "durachart.terminated applied olga",
      "COUNT late olga",
    ]);
    expect(await operate("probes", id, "pause")).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:operation-not-possible" },
    });
  });
});
