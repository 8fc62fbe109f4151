import {
  createExecutionContext,
  createMessageBatch,
  evictDurableObject,
  getQueueResult,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { JournalEntry } from "../../src/index.ts";
import { history, send, setTime, start, stubOf, view } from "../support/client.ts";
import { world } from "../support/probe.ts";
import app from "../support/worker.ts";

const began = 1_800_000_000_000;
const minute = 60_000;

beforeEach(() => {
  world.guard = () => true;
  setTime(began);
});

afterEach(() => {
  vi.useRealTimers();
});

const letter = (n: number) => ({ type: "LETTER", data: { n } });
const post = (id: string, n: number, key?: string) =>
  send("mailboxes", id, letter(n), key === undefined ? {} : { key });
const open = (id: string) => send("mailboxes", id, { type: "OPEN" });
const evict = (id: string) => evictDurableObject(stubOf("mailboxes", id));
const ring = (id: string) => runDurableObjectAlarm(stubOf("mailboxes", id));

/** The journal as `seq type outcome`. */
async function journal(id: string): Promise<string[]> {
  const entries = await history("mailboxes", id);
  return entries.map(({ seq, event, outcome }: JournalEntry) => `${seq} ${event.type} ${outcome}`);
}

const alarmOf = (id: string) =>
  runInDurableObject(stubOf("mailboxes", id), (_instance, { storage }) => storage.getAlarm());

describe("an event that the state has no use for yet", () => {
  it("is kept: 202, shown in the view, and journalled", async () => {
    const id = await start("mailboxes");
    const answer = await post(id, 1);
    expect(answer).toMatchObject({
      status: 202,
      body: { outcome: "deferred", seq: 2, state: "closed", context: { got: [] } },
    });
    const until = new Date(began + minute).toISOString();
    expect((await view("mailboxes", id)).deferred).toEqual([{ type: "LETTER", seq: 2, until }]);
    expect((await history("mailboxes", id)).at(-1)).toMatchObject({
      event: letter(1),
      outcome: "deferred",
      by: "olga",
      state: "closed",
      changes: {},
    });
    expect(await alarmOf(id)).toBe(began + minute);
  });

  it("is applied by itself when the state takes it, in an entry of its own", async () => {
    const id = await start("mailboxes");
    await post(id, 1);
    const opened = await open(id);
    // Who opens it hears of its own event; the state is the one after both.
    expect(opened).toMatchObject({
      status: 200,
      body: { outcome: "applied", seq: 4, context: { got: [1] }, deferred: [] },
    });
    const entries = await history("mailboxes", id);
    expect(entries.slice(1)).toMatchObject([
      { seq: 2, event: letter(1), outcome: "deferred" },
      { seq: 3, event: { type: "OPEN" }, outcome: "applied" },
      {
        seq: 4,
        event: letter(1),
        outcome: "applied",
        by: "olga",
        changes: { context: { set: { got: [1] } } },
      },
    ]);
    await ring(id);
    expect(await alarmOf(id)).toBeNull();
  });

  it("is applied in its turn: oldest first, several in a row", async () => {
    const id = await start("mailboxes");
    for (const n of [3, 1, 2]) await post(id, n);
    await open(id);
    expect(await view("mailboxes", id)).toMatchObject({
      context: { got: [3, 1, 2] },
      deferred: [],
    });
    expect((await journal(id)).slice(4)).toEqual([
      "5 OPEN applied",
      "6 LETTER applied",
      "7 LETTER applied",
      "8 LETTER applied",
    ]);
  });

  it("is tried again after each that is applied: the state takes one at a time", async () => {
    const id = await start("mailboxes");
    for (const n of [1, 2, 3]) await post(id, n);
    await send("mailboxes", id, { type: "TAKE_ONE" });
    expect(await view("mailboxes", id)).toMatchObject({
      state: "closed",
      context: { got: [1] },
      deferred: [{ seq: 3 }, { seq: 4 }],
    });
    await send("mailboxes", id, { type: "TAKE_ONE" });
    expect(await view("mailboxes", id)).toMatchObject({
      context: { got: [1, 2] },
      deferred: [{ seq: 4 }],
    });
  });

  it("is not overtaken by one that is younger, though another may be taken before it", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "LAST" });
    await post(id, 1);
    await send("mailboxes", id, { type: "TAKE_ONE" });
    expect(await view("mailboxes", id)).toMatchObject({
      state: "closed",
      context: { got: [1] },
      deferred: [{ type: "LAST" }],
    });
  });

  it("survives an eviction, and is applied after it", async () => {
    const id = await start("mailboxes");
    for (const n of [1, 2]) await post(id, n);
    await evict(id);
    expect((await view("mailboxes", id)).deferred).toMatchObject([{ seq: 2 }, { seq: 3 }]);
    await evict(id);
    await open(id);
    await evict(id);
    expect(await view("mailboxes", id)).toMatchObject({ context: { got: [1, 2] }, deferred: [] });
  });

  it("that was left when its process died after the transition is applied when it wakes up", async () => {
    const id = await start("mailboxes");
    await post(id, 1);
    await runInDurableObject(stubOf("mailboxes", id), (_instance, { storage }) => {
      const { body } = storage.sql.exec<{ body: string }>("SELECT body FROM state").one();
      const changed = body.replace('"value":"closed"', '"value":"open"');
      storage.sql.exec("UPDATE state SET body = ?", changed);
    });
    await evict(id);
    expect(await view("mailboxes", id)).toMatchObject({ context: { got: [1] }, deferred: [] });
    expect((await journal(id)).at(-1)).toBe("3 LETTER applied");
  });

  it("is known again: a repeat is answered with what became of the first", async () => {
    const id = await start("mailboxes");
    await post(id, 1, "k1");
    const again = await post(id, 1, "k1");
    expect(again).toMatchObject({
      status: 200,
      body: { outcome: "duplicate", first: { outcome: "deferred", seq: 2 }, seq: 2 },
    });
    expect((await view("mailboxes", id)).deferred).toHaveLength(1);
    await open(id);
    expect(await post(id, 1, "k1")).toMatchObject({
      body: { outcome: "duplicate", first: { outcome: "deferred", seq: 2 } },
    });
    expect((await view("mailboxes", id)).context["got"]).toEqual([1]);
    expect(await post(id, 2, "k1")).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:key-reused" },
    });
  });
});

describe("a deferred event whose time is over", () => {
  it("is filed as late by the alarm, and not before", async () => {
    const id = await start("mailboxes");
    await post(id, 1);
    setTime(began + minute - 1);
    await ring(id);
    expect((await view("mailboxes", id)).deferred).toHaveLength(1);
    await evict(id);
    setTime(began + minute);
    expect(await ring(id)).toBe(true);
    expect(await journal(id)).toEqual([
      "1 durachart.started applied",
      "2 LETTER deferred",
      "3 LETTER late",
    ]);
    await open(id);
    expect(await view("mailboxes", id)).toMatchObject({ context: { got: [] }, deferred: [] });
    expect(await alarmOf(id)).toBeNull();
  });

  it("is filed as late before an event that comes after it, however late the alarm", async () => {
    const id = await start("mailboxes");
    await post(id, 1);
    setTime(began + minute);
    await open(id);
    expect((await journal(id)).slice(2)).toEqual(["3 LETTER late", "4 OPEN applied"]);
  });

  it("was in time for a timer that was due before, however late the alarm", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "DOZE" });
    await post(id, 1);
    setTime(began + 2 * minute);
    await ring(id);
    expect(await view("mailboxes", id)).toMatchObject({ state: "open", context: { got: [1] } });
  });
});

describe("deferred events", () => {
  it("are a hundred at most: the next is refused, a repeat of the first is not", async () => {
    const id = await start("mailboxes");
    for (let n = 1; n <= 100; n++) await post(id, n, `k${n}`);
    expect(await post(id, 101, "k101")).toMatchObject({
      status: 429,
      body: { type: "urn:durachart:problem:too-many-deferred" },
    });
    expect((await post(id, 1, "k1")).body).toMatchObject({ outcome: "duplicate" });
    const full = await view("mailboxes", id);
    expect(full.deferred).toHaveLength(100);
    expect(full.seq).toBe(101);
    await open(id);
    const opened = await view("mailboxes", id);
    expect(opened.context["got"]).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    expect((await post(id, 101, "k101")).body).toMatchObject({ outcome: "applied" });
  });

  it("that are left when the instance comes to its end are filed as late", async () => {
    const id = await start("mailboxes");
    for (const n of [1, 2]) await post(id, n);
    const broken = await send("mailboxes", id, { type: "BREAK" });
    expect(broken.body).toMatchObject({ outcome: "applied", status: "done", deferred: [] });
    expect((await journal(id)).slice(3)).toEqual([
      "4 BREAK applied",
      "5 LETTER late",
      "6 LETTER late",
    ]);
    // What has come to its end keeps nothing more.
    expect(await post(id, 3)).toMatchObject({ status: 409 });
  });

  it("that a deferred one before them has ended are filed as late", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "LAST" });
    await post(id, 1);
    await open(id);
    expect((await journal(id)).slice(3)).toEqual([
      "4 OPEN applied",
      "5 LAST applied",
      "6 LETTER late",
    ]);
  });

  it.each([
    ["throws", "BOMB"],
    ["makes of it a state that can't be stored", "SPOIL"],
  ])("on which the chart %s stay, and stop no other", async (_, type) => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type });
    await post(id, 1);
    const opened = await open(id);
    expect(opened).toMatchObject({
      status: 200,
      body: { outcome: "applied", context: { got: [1], spoilt: null }, deferred: [{ type }] },
    });
    await evict(id);
    expect((await view("mailboxes", id)).deferred).toMatchObject([{ type, seq: 2 }]);
    world.guard = () => false;
    await post(id, 2);
    expect(await view("mailboxes", id)).toMatchObject({ context: { got: [1, 2] }, deferred: [] });
  });

  it("on which the chart throws don't make a timer fire twice", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "SPOIL" });
    await send("mailboxes", id, { type: "DOZE" });
    setTime(began + minute);
    await ring(id);
    expect(await view("mailboxes", id)).toMatchObject({
      state: "open",
      deferred: [{ type: "SPOIL" }],
      timers: [],
      timerCount: 0,
      incidents: [{ kind: "blocked", what: "event SPOIL" }],
    });
    setTime(began + 10 * minute);
    await ring(id);
    expect((await journal(id)).slice(3)).toEqual(["4 xstate.after.doze.mailbox.dozing applied"]);
  });

  it("on which the chart throws are filed as late with the others when it comes to its end", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "BOMB" });
    await send("mailboxes", id, { type: "LAST" });
    const opened = await open(id);
    expect(opened.body).toMatchObject({ status: "done", deferred: [] });
    expect((await journal(id)).slice(3)).toEqual([
      "4 OPEN applied",
      "5 LAST applied",
      "6 BOMB late",
    ]);
  });
});

describe("an event that comes over the queue", () => {
  async function deliver(id: string, type: string, n: number) {
    const event = {
      specversion: "1.0",
      id: crypto.randomUUID(),
      source: "/kitchen",
      type,
      subject: `mailboxes/${id}`,
      data: { n },
    };
    const body = { tenant: "tropical", event };
    const message = { id: crypto.randomUUID(), timestamp: new Date(), attempts: 1, body };
    const batch = createMessageBatch("durachart-events", [message]);
    const context = createExecutionContext();
    await app.queue(batch, env);
    const { explicitAcks, retryMessages } = await getQueueResult(batch, context);
    return { acks: explicitAcks.length, retries: retryMessages.length };
  }

  it("is deferred unless the table says otherwise", async () => {
    const id = await start("mailboxes");
    expect(await deliver(id, "PARCEL", 1)).toEqual({ acks: 1, retries: 0 });
    const day = new Date(began + 24 * 60 * minute).toISOString();
    expect((await view("mailboxes", id)).deferred).toEqual([
      { type: "PARCEL", seq: 2, until: day },
    ]);
    await open(id);
    expect((await history("mailboxes", id)).at(-1)).toMatchObject({
      event: { type: "PARCEL", data: { n: 1 } },
      by: "queue:/kitchen",
      outcome: "applied",
    });
  });

  it("is rejected where the table says so, to be tried again by the queue", async () => {
    const id = await start("mailboxes");
    expect(await deliver(id, "NOTE", 1)).toEqual({ acks: 0, retries: 1 });
    expect(await view("mailboxes", id)).toMatchObject({ seq: 1, deferred: [] });
  });

  it("is deferred only there: over HTTP the same event is rejected", async () => {
    const id = await start("mailboxes");
    const answer = await send("mailboxes", id, { type: "PARCEL", data: { n: 1 } });
    expect(answer).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:event-not-allowed" },
    });
  });
});
