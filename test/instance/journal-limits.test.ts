import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OperationView } from "../../src/contract/operations.ts";
import type { EventReply, View } from "../../src/index.ts";
import {
  call,
  eventually,
  history,
  operator,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { limits, resetLimits } from "../support/limits.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const minute = 60_000;

beforeEach(() => {
  resetLimits();
  resetWorld();
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const count = (id: string, key?: string) =>
  send("probes", id, { type: "COUNT" }, key === undefined ? {} : { key });
const archive = (id: string, keep: number) =>
  call<OperationView>("POST", `/probes/${id}/archive`, { body: { keep } });
const ring = (id: string) => runDurableObjectAlarm(stubOf("probes", id));
const evict = (id: string) => evictDurableObject(stubOf("probes", id));
const operate = (id: string, operation: { name: "pause" | "resume" | "terminate" }) =>
  stubOf("probes", id).operate({
    address: { tenant: "tropical", workflow: "probes", id },
    caller: operator,
    operation,
  });

/** All that is stored, and when the alarm rings. */
const onDisk = (id: string) =>
  runInDurableObject(stubOf("probes", id), async (_instance, { storage }) => ({
    tables: ["journal", "state", "inbox", "effects"].map((table) =>
      storage.sql.exec(`SELECT * FROM ${table}`).toArray(),
    ),
    alarm: await storage.getAlarm(),
  }));

/** Counts until the journal has so many entries. */
async function fill(id: string, entries: number): Promise<void> {
  const { seq } = await view("probes", id);
  for (let n = seq; n < entries; n++) expect((await count(id)).status).toBe(200);
}

describe("a long journal", () => {
  it("is an incident, and said once in the log while the instance is awake", async () => {
    limits.longJournal = 10;
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const warnings = () => warn.mock.calls.filter(([text]) => String(text).includes("journal"));
    const id = await start("probes");
    await fill(id, 9);
    expect((await view("probes", id)).incidents).toEqual([]);
    expect(warnings()).toEqual([]);
    const tenth = await count(id);
    const incident = {
      kind: "long-journal",
      what: "journal of 10 entries",
      error:
        "At 100000 entries it will take no more events: archive it (POST …/archive), or give its workflow continueAfter.",
    };
    expect(tenth).toMatchObject({ status: 200, body: { incidents: [incident] } });
    expect((await view("probes", id)).incidents).toMatchObject([
      { ...incident, id: "journal", mend: `POST /probes/${id}/archive` },
    ]);
    await fill(id, 15);
    expect(warnings()).toHaveLength(1);
    expect(JSON.parse(String(warnings()[0]![0]))).toMatchObject({
      ...{ level: "warn", tenant: "tropical", workflow: "probes", instance: id, epoch: 1 },
      message: expect.stringMatching("^The journal has 10 entries: archive it") as string,
    });
    await evict(id);
    await fill(id, 17);
    expect(warnings()).toHaveLength(2);
    expect((await archive(id, 5)).body.incidents).toEqual([]);
    await evict(id);
    expect((await view("probes", id)).incidents).toEqual([]);
    await fill(id, 20);
    expect(warnings()).toHaveLength(2);
  });
});

describe("a full journal", () => {
  it("refuses events, and nothing of them is written; repeats are answered as ever", async () => {
    limits.fullJournal = 10;
    const id = await start("probes");
    await count(id, "known");
    await fill(id, 10);
    const before = await onDisk(id);
    for (const key of [undefined, "new"]) {
      const refused = await count(id, key);
      expect(refused).toMatchObject({
        status: 409,
        body: {
          type: "urn:durachart:problem:journal-full",
          detail: `probes/${id} takes no more events: its journal has 10 entries, at most 10. To go on, archive it (POST …/archive), or give its workflow continueAfter.`,
        },
      });
    }
    expect(await count(id, "known")).toMatchObject({ body: { outcome: "duplicate" } });
    await evict(id);
    expect((await count(id)).status).toBe(409);
    expect(await onDisk(id)).toEqual(before);
    expect((await view("probes", id)).incidents).toMatchObject([
      {
        kind: "journal-full",
        what: "journal of 10 entries",
        error: expect.stringMatching(/takes no more events/) as string,
      },
    ]);
    expect((await archive(id, 4)).body).toMatchObject({ seq: 10, incidents: [] });
    expect(await count(id, "new")).toMatchObject({ body: { outcome: "applied", seq: 11 } });
    await fill(id, 16);
    expect((await count(id)).status).toBe(409);
  });

  it("leaves operations possible", async () => {
    limits.fullJournal = 10;
    const id = await start("probes");
    await fill(id, 10);
    expect(await operate(id, { name: "pause" })).toMatchObject({ ok: true });
    expect((await count(id)).status).toBe(409);
    expect(await operate(id, { name: "resume" })).toMatchObject({ ok: true });
    expect(await operate(id, { name: "terminate" })).toMatchObject({ ok: true });
    expect(await view("probes", id)).toMatchObject({ seq: 13, status: "stopped" });
  });

  it("lets the chart's own way out open", async () => {
    limits.fullJournal = 10;
    const id = await start("cancellables");
    for (let n = 1; n < 10; n++) await send("cancellables", id, { type: "COUNT" });
    expect((await send("cancellables", id, { type: "STOP" })).status).toBe(409);
    const address = { tenant: "tropical", workflow: "cancellables", id };
    const reply = await stubOf("cancellables", id).operate({
      ...{ address, caller: operator },
      operation: { name: "cancel" },
    });
    expect(reply).toMatchObject({ ok: true });
    expect(await view("cancellables", id)).toMatchObject({ status: "done", seq: 11 });
  });

  it("keeps timers waiting, with no alarm in vain; archived, they fire", async () => {
    limits.fullJournal = 10;
    setTime(began);
    const id = await start("probes", { type: "NAP" });
    await fill(id, 10);
    setTime(began + 2 * minute);
    const before = await onDisk(id);
    await ring(id);
    await ring(id);
    const after = await onDisk(id);
    expect(after.tables).toEqual(before.tables);
    expect(after.alarm).toBeNull();
    await evict(id);
    expect(await view("probes", id)).toMatchObject({
      ...{ state: "napping", timerCount: 1, seq: 10 },
      incidents: [{ kind: "journal-full" }],
    });
    expect((await onDisk(id)).alarm).toBeNull();
    const { body } = await archive(id, 2);
    expect(body).toMatchObject({ state: "idle", timerCount: 0, seq: 11, incidents: [] });
  });

  it("sets the alarm again for a timer that is due later", async () => {
    limits.fullJournal = 10;
    setTime(began);
    const id = await start("probes", { type: "NAP" });
    await fill(id, 10);
    await ring(id);
    expect((await onDisk(id)).alarm).toBeNull();
    await archive(id, 2);
    expect((await onDisk(id)).alarm).toBe(began + minute);
    setTime(began + minute);
    await ring(id);
    expect(await view("probes", id)).toMatchObject({ state: "idle", seq: 11 });
  });

  it("keeps an actor's result, over an eviction; archived, the chart gets it", async () => {
    limits.fullJournal = 10;
    const running = { isOver: false };
    world.actor = async () => {
      while (!running.isOver) {
        await new Promise((resolve) => {
          setTimeout(resolve, 2);
        });
      }
      return "at last";
    };
    const id = await start("probes", { type: "WORK" });
    await fill(id, 10);
    running.isOver = true;
    const rows = () => onDisk(id).then(({ tables }) => tables[3]!);
    await eventually(rows, ([row]) => row!["status"] === "settling");
    const before = await onDisk(id);
    await ring(id);
    await evict(id);
    await ring(id);
    expect((await onDisk(id)).tables).toEqual(before.tables);
    expect(await view("probes", id)).toMatchObject({ state: "working", pending: 1, seq: 10 });
    const { body } = await archive(id, 2);
    expect(body).toMatchObject({ state: "idle", context: { result: "at last" }, pending: 0 });
  });

  it("keeps what was deferred, even past its time, and takes no more letters", async () => {
    limits.fullJournal = 10;
    setTime(began);
    const id = await start("endless");
    await send("endless", id, { type: "LATER" });
    for (let n = 2; n < 10; n++) await send("endless", id, { type: "COUNT" });
    setTime(began + 25 * 60 * minute);
    const stub = stubOf("endless", id);
    const address = { tenant: "tropical", workflow: "endless", id };
    const letter = { address, caller: operator, hops: 1, kind: "send", dedupe: "letter" };
    const bring = () => stub.receive(JSON.stringify({ ...letter, event: { type: "COUNT" } }));
    expect(await bring()).toMatchObject({
      status: 409,
      type: "urn:durachart:problem:journal-full",
    });
    await runDurableObjectAlarm(stub);
    expect(await view("endless", id)).toMatchObject({ seq: 10, deferred: [{ type: "LATER" }] });
    const { body } = await call<View>("POST", `/endless/${id}/archive`, { body: { keep: 3 } });
    expect(body).toMatchObject({ deferred: [] });
    const entries = await history("endless", id);
    expect(entries.at(-1)).toMatchObject({ event: { type: "LATER" }, outcome: "late" });
    expect(await bring()).toBeNull();
  });

  it("goes on as far as archiving came before it broke off", async () => {
    limits.fullJournal = 10;
    limits.partEntries = 4;
    setTime(began);
    const id = await start("probes", { type: "NAP" });
    await fill(id, 10);
    setTime(began + 2 * minute);
    const put = env.ARCHIVE.put.bind(env.ARCHIVE);
    let calls = 0;
    env.ARCHIVE.put = ((...given: Parameters<typeof put>) =>
      ++calls === 2 ? Promise.reject(new Error("R2 is away")) : put(...given)) as never;
    try {
      expect((await archive(id, 1)).status).toBe(503);
    } finally {
      Object.assign(env.ARCHIVE, { put });
    }
    expect(await view("probes", id)).toMatchObject({ state: "idle", seq: 11, incidents: [] });
  });

  it("begins again where its workflow now says so", async () => {
    const id = await start("endless");
    const add = () => send("endless", id, { type: "COUNT" });
    limits.fullJournal = 99;
    for (let n = 1; n < 99; n++) await add();
    expect((await add()).status).toBe(409);
    limits.fullJournal = 100;
    const { body } = (await add()) as { body: EventReply };
    expect(body).toMatchObject({ epoch: 2, seq: 1, incidents: [] });
  });
});

describe("a large database", () => {
  let bytes = 50_000;
  const grow = (id: string) => send("probes", id, { type: "GROW", data: { bytes: bytes++ } });

  it("refuses events likewise, looked at every hundred entries and at waking", async () => {
    limits.databaseBytes = 1_000_000;
    const id = await start("probes");
    for (let n = 0; n < 40; n++) expect((await grow(id)).status).toBe(200);
    // It is too large by now, and will be measured at seq 100.
    await evict(id);
    const refused = await grow(id);
    expect(refused).toMatchObject({
      status: 409,
      body: {
        type: "urn:durachart:problem:journal-full",
        detail: expect.stringMatching(/its database has \d{7} bytes, at most 1000000/) as string,
      },
    });
    expect((await view("probes", id)).incidents).toMatchObject([{ kind: "journal-full" }]);
    expect((await archive(id, 3)).body.incidents).toEqual([]);
    expect((await grow(id)).status).toBe(200);
  });

  it("is noticed by who is never evicted", async () => {
    limits.databaseBytes = 1_000_000;
    const id = await start("probes");
    let accepted = 1;
    while ((await grow(id)).status === 200) accepted += 1;
    expect(accepted).toBeLessThanOrEqual(101);
  });
});
