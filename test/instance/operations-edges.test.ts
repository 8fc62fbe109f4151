import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { View } from "../../src/contract/view.ts";
import {
  call,
  customer,
  eventually,
  freshId,
  history,
  operate,
  operator,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { sing } from "../support/canary.ts";
import { actorsInHand } from "../support/in-hand.ts";
import { resetWorld, world } from "../support/probe.ts";
import { TestSocket } from "../support/socket.ts";

const began = 1_800_000_000_000;
const minute = 60_000;
const hour = 60 * minute;

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));
const at = (time: number) => new Date(time).toISOString();

const alarmOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => storage.getAlarm());

const tablesOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => {
    const names = storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite%'",
      )
      .toArray();
    return names.map(({ name }) => name).toSorted();
  });

/** Every row of every table of the object, as text. */
const contentOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) => {
    const tables = storage.sql
      .exec<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf%' ESCAPE '\\'",
      )
      .toArray();
    const rows = tables.map(({ name }) => [
      name,
      storage.sql.exec(`SELECT * FROM ${name}`).toArray(),
    ]);
    return JSON.stringify(rows);
  });

const ring = async (workflow: string, id: string) => {
  const rang = await runDurableObjectAlarm(stubOf(workflow, id));
  await settle();
  return rang;
};

describe("an instance that is to begin later", () => {
  const startAt = at(began + hour);

  async function schedule(workflow = "probes", more: object = {}) {
    const id = freshId();
    const body = { id, startAt, ...more };
    const answer = await call<View>("POST", `/${workflow}`, { body });
    return { id, body, status: answer.status, view: answer.body };
  }

  it("is shown as such, takes no events, and is the same when it is started again", async () => {
    const { id, status, body, view: shown } = await schedule();
    expect(status).toBe(201);
    expect(shown).toMatchObject({
      ...{ id, status: "scheduled", state: null, context: null, seq: 0, startAt, allowed: [] },
      timers: [{ event: "durachart.started", due: startAt }],
    });
    expect(await alarmOf("probes", id)).toBe(began + hour);
    await evictDurableObject(stubOf("probes", id));
    expect(await view("probes", id)).toEqual(shown);
    expect(await send("probes", id, { type: "COUNT" })).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:not-begun", startAt },
    });
    const again = await call("POST", "/probes", { body });
    expect(again).toMatchObject({ status: 200, body: shown as object });
    for (const other of [{ id }, { id, startAt: at(began + 2 * hour) }, { ...body, input: 1 }]) {
      expect((await call("POST", "/probes", { body: other })).status).toBe(409);
    }
    expect((await call("GET", `/probes/${id}/history`)).status).toBe(409);
    expect((await call("GET", `/probes/${id}/history/1`)).status).toBe(409);
    await expect(TestSocket.open(`/probes/${id}/stream`)).rejects.toThrow(/409/);
    for (const name of ["pause", "resume", "retry", "migrate", "rewind", "simulate"]) {
      const wanted = { rewind: { to: 1 }, simulate: { suppose: [] } }[name] ?? {};
      expect({ name, status: (await operate("probes", id, name, wanted)).status }).toEqual({
        ...{ name, status: 409 },
      });
    }
    expect(await tablesOf("probes", id)).toEqual(["scheduled"]);
  });

  it("begins at its time, not before, and then with its first event", async () => {
    const { id, body } = await schedule("probes", { event: { type: "COUNT" } });
    setTime(began + hour - 1);
    await ring("probes", id);
    expect(await view("probes", id)).toMatchObject({ status: "scheduled" });
    await evictDurableObject(stubOf("probes", id));
    setTime(began + hour);
    expect(await ring("probes", id)).toBe(true);
    expect(await view("probes", id)).toMatchObject({
      ...{ status: "active", state: "idle", seq: 2, context: { count: 1 } },
    });
    expect(await tablesOf("probes", id)).toContain("journal");
    expect(await contentOf("probes", id)).toContain('["scheduled",[]]');
    // A late repeat of the start finds it.
    expect(await call("POST", "/probes", { body })).toMatchObject({
      status: 200,
      body: { seq: 2 },
    });
    expect(await ring("probes", id)).toBe(false);
  });

  it("begins at once where its time has passed", async () => {
    const body = { id: freshId(), startAt: at(began - 1) };
    expect(await call("POST", "/probes", { body })).toMatchObject({
      status: 201,
      body: { status: "active", seq: 1 },
    });
  });

  it.each(["tomorrow", "2030-01-01", "2030-01-01T00:00:00", at(began + 101 * 365 * 24 * hour), 7])(
    "not at %s",
    async (bad) => {
      const body = { id: freshId(), startAt: bad };
      expect((await call("POST", "/probes", { body })).status).toBe(422);
    },
  );

  it.each(["terminate", "cancel"])("comes to its end by %s, and never begins", async (name) => {
    const { runs } = actorsInHand();
    const { id } = await schedule("probes", { event: { type: "WORK" } });
    expect((await operate("probes", id, name, {}, customer)).status).toBe(403);
    const { body } = await operate("probes", id, name);
    expect(body).toMatchObject({ status: "stopped", operation: { name, changed: true } });
    setTime(began + 2 * hour);
    await ring("probes", id);
    expect(await view("probes", id)).toMatchObject({ status: "stopped", pending: 0 });
    expect((await history("probes", id)).map(({ event }) => event.type)).toEqual([
      ...["durachart.started", "durachart.terminated"],
    ]);
    expect(runs).toEqual([]);
  });

  it("is erased like one that has ended, and never begins", async () => {
    const { id, body } = await schedule("probes", { input: "canary" });
    expect((await operate("probes", id, "erase")).status).toBe(200);
    setTime(began + 2 * hour);
    await ring("probes", id);
    expect((await call("GET", `/probes/${id}`)).status).toBe(410);
    expect((await call("POST", "/probes", { body })).status).toBe(410);
    expect(await contentOf("probes", id)).not.toContain("canary");
  });

  it("whose chart throws is tried five times, then blocked; retry begins it", async () => {
    world.guard = () => {
      throw new Error("not on a Sunday");
    };
    const { id } = await schedule("latecomers");
    let tries = 0;
    for (let due = await alarmOf("latecomers", id); due !== null; tries++) {
      setTime(due);
      await ring("latecomers", id);
      due = await alarmOf("latecomers", id);
    }
    expect(tries).toBe(5);
    expect(await view("latecomers", id)).toMatchObject({
      status: "scheduled",
      incidents: [
        {
          ...{ id: "start", kind: "blocked", what: "start" },
          error: expect.stringContaining("not on a Sunday") as string,
          mend: `POST /latecomers/${id}/retry {"incident":"start"}`,
        },
      ],
    });
    // It has no first state to be ended in.
    expect(await operate("latecomers", id, "terminate")).toMatchObject({
      status: 409,
      body: { detail: /Erase it instead/ },
    });
    await evictDurableObject(stubOf("latecomers", id));
    const stillBad = await operate("latecomers", id, "retry", { incident: "start" });
    expect(stillBad.body).toMatchObject({ status: "scheduled" });
    world.guard = () => true;
    await operate("latecomers", id, "retry", { incident: "start" });
    expect(await view("latecomers", id)).toMatchObject({ status: "active", seq: 1, incidents: [] });
  });
});

describe("erasing", () => {
  const routes = (id: string): [string, string, unknown?][] => [
    ["GET", `/canaries/${id}`],
    ["GET", `/canaries/${id}/history`],
    ["GET", `/canaries/${id}/history/1`],
    ["POST", `/canaries/${id}/events`, { type: "SAY", data: { text: "x" } }],
    ["POST", "/canaries", { id, input: { text: "x" } }],
    ["POST", `/canaries/${id}/simulate`, { suppose: [] }],
    ["POST", `/canaries/${id}/rewind`, { to: 1 }],
    ...["pause", "resume", "cancel", "terminate", "retry", "migrate"].map(
      (name): [string, string] => ["POST", `/canaries/${id}/${name}`],
    ),
  ];

  it("leaves nothing of all that it was told, and every door says so for ever", async () => {
    vi.useRealTimers();
    const text = `canary-${crypto.randomUUID()}`;
    const id = freshId();
    const as = { ...operator, subject: `olga ${text}` };
    await call("POST", "/canaries", { body: { id, input: { text } }, as });
    await sing(
      (path, body, key) =>
        call("POST", `/canaries/${id}${path}`, {
          ...{ as, body },
          headers: key === undefined ? {} : { "Idempotency-Key": key },
        }),
      text,
    );
    const shown = await view("canaries", id);
    expect(shown).toMatchObject({ status: "stopped", incidents: [{ kind: "exhausted" }] });
    const stored = JSON.parse(await contentOf("canaries", id)) as [string, unknown[]][];
    const holding = stored.filter(([, rows]) => JSON.stringify(rows).includes(text));
    expect(holding.map(([name]) => name)).toEqual(
      expect.arrayContaining(["effects", "inbox", "journal", "moments", "state"]),
    );
    const socket = await TestSocket.open(`/canaries/${id}/stream`);
    const still = await operate("canaries", id, "erase");
    expect(still).toMatchObject({ status: 409, body: { detail: /1 to deliver/ } });

    const erased = await operate("canaries", id, "erase", { force: true });
    expect(erased).toMatchObject({ status: 200, body: { status: "erased" } });
    expect(erased.body.operation).toMatchObject({ name: "erase", changed: true });
    await eventually(
      () => Promise.resolve(socket.closed),
      (closed) => closed !== null,
    );
    expect(socket.closed).toMatchObject({ code: 4410 });
    expect(await tablesOf("canaries", id)).toEqual(["tombstone"]);
    const left = await contentOf("canaries", id);
    for (const secret of [text, id]) expect(left).not.toContain(secret);
    await evictDurableObject(stubOf("canaries", id));
    for (const [method, path, body] of routes(id)) {
      const answer = await call(method, path, { body });
      expect({ path, status: answer.status, type: answer.body["type"] }).toEqual({
        ...{ path, status: 410, type: "urn:durachart:problem:erased" },
      });
    }
    await expect(TestSocket.open(`/canaries/${id}/stream`)).rejects.toThrow(/410/);
    const again = await operate("canaries", id, "erase");
    expect(again).toMatchObject({ status: 200, body: { operation: { changed: false } } });
    await eventually(
      () => alarmOf("canaries", id),
      (alarm) => alarm === null,
    );
    expect(await tablesOf("canaries", id)).toEqual(["tombstone"]);
  });

  it("is for what has ended; what runs stays, force or not", async () => {
    const id = await start("probes");
    for (const body of [{}, { force: true }]) {
      expect(await operate("probes", id, "erase", body)).toMatchObject({
        status: 409,
        body: { type: "urn:durachart:problem:operation-not-possible", detail: /still running/ },
      });
    }
    await operate("probes", id, "pause");
    expect((await operate("probes", id, "erase", { force: true })).status).toBe(409);
    expect(await view("probes", id)).toMatchObject({ status: "paused", seq: 2 });
  });

  it("while a message is under way stops that, and its late end brings nothing back", async () => {
    let signal: AbortSignal | undefined;
    let isReleased = false;
    world.action = async (_params, context) => {
      signal = context.signal;
      while (!isReleased) await new Promise((resolve) => setTimeout(resolve, 2));
    };
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => Promise.resolve(signal),
      (found) => found !== undefined,
    );
    await operate("probes", id, "terminate");
    expect((await operate("probes", id, "erase")).status).toBe(409);
    expect((await operate("probes", id, "erase", { force: true })).status).toBe(200);
    expect(signal!.aborted).toBe(true);
    isReleased = true;
    await settle();
    expect(await tablesOf("probes", id)).toEqual(["tombstone"]);
    expect((await call("GET", `/probes/${id}`)).status).toBe(410);
  });

  it("two at once erase once", async () => {
    const id = await start("probes");
    await operate("probes", id, "terminate");
    const answers = await Promise.all([1, 2, 3].map(() => operate("probes", id, "erase")));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers.filter(({ body }) => body.operation.changed)).toHaveLength(1);
  });

  it("and events at the same moment: each is answered before it, or 410", async () => {
    const id = await start("probes");
    await operate("probes", id, "terminate");
    const answers = await Promise.all([
      ...[1, 2, 3].map(() => call("GET", `/probes/${id}`)),
      operate("probes", id, "erase"),
      ...[1, 2, 3].map(() => call("GET", `/probes/${id}`)),
    ]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 410]));
    expect(await tablesOf("probes", id)).toEqual(["tombstone"]);
  });

  it("knows whose the tombstone is, and says it to nobody else", async () => {
    const id = await start("probes");
    await operate("probes", id, "terminate");
    await operate("probes", id, "erase");
    const stranger = { tenant: "arctic", subject: "olaf", roles: ["operator"] };
    expect((await call("GET", `/probes/${id}`, { as: stranger })).status).toBe(404);
    const own = await start("probes");
    await operate("probes", own, "terminate");
    await operate("probes", own, "erase");
    const read = (one: string) =>
      runInDurableObject(stubOf("probes", one), (_instance, { storage }) =>
        storage.sql.exec("SELECT salt, hash FROM tombstone").one(),
      );
    const [first, second] = [await read(id), await read(own)];
    expect(first["salt"]).not.toBe(second["salt"]);
    expect(first["hash"]).toMatch(/^[A-Za-z0-9_-]{43}$/);
  });
});

describe("retention", () => {
  it("erases an hour after the end, not before, whatever is asked meanwhile", async () => {
    const id = await start("fleeting");
    expect(await alarmOf("fleeting", id)).toBeNull();
    await send("fleeting", id, { type: "END" });
    expect(await alarmOf("fleeting", id)).toBe(began + hour);
    setTime(began + hour - 1);
    await ring("fleeting", id);
    expect(await view("fleeting", id)).toMatchObject({ status: "done" });
    const socket = await TestSocket.open(`/fleeting/${id}/stream`);
    await evictDurableObject(stubOf("fleeting", id));
    setTime(began + hour);
    await ring("fleeting", id);
    expect((await call("GET", `/fleeting/${id}`)).status).toBe(410);
    expect(await tablesOf("fleeting", id)).toEqual(["tombstone"]);
    await eventually(
      () => Promise.resolve(socket.closed?.code),
      (code) => code === 4410,
    );
    for (let rung = 0; rung < 3 && (await ring("fleeting", id)); rung++);
    expect(await alarmOf("fleeting", id)).toBeNull();
  });

  it("also of what was terminated; what was rewound in time lives on", async () => {
    const ids = [await start("fleeting"), await start("fleeting")] as const;
    for (const id of ids) await operate("fleeting", id, "terminate");
    await operate("fleeting", ids[1], "rewind", { to: 1 });
    setTime(began + hour);
    for (const id of ids) await ring("fleeting", id);
    expect((await call("GET", `/fleeting/${ids[0]}`)).status).toBe(410);
    expect(await view("fleeting", ids[1])).toMatchObject({ status: "active", state: "there" });
  });
});
