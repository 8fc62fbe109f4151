import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  call,
  eventually,
  freshId,
  operate,
  operator,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { sing } from "../support/canary.ts";
import { alarmOf, contentOf, ring, tablesOf } from "../support/object.ts";
import { resetWorld, world } from "../support/probe.ts";
import { TestSocket } from "../support/socket.ts";

const began = 1_800_000_000_000;
const hour = 3_600_000;

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

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
    expect(still).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching(/1 to deliver/) as string },
    });

    const erased = await operate("canaries", id, "erase", { force: true });
    expect(erased).toMatchObject({ status: 200, body: { status: "erased" } });
    expect(erased.body.operation).toMatchObject({ name: "erase", changed: true });
    await eventually(
      () => Promise.resolve(socket.closed),
      (closed) => closed !== null,
    );
    expect(socket.closed).toMatchObject({ code: 4410 });
    expect(await tablesOf("canaries", id)).toEqual(["burial", "tombstone"]);
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
    expect(await tablesOf("canaries", id)).toEqual(["burial", "tombstone"]);
  });

  it("is for what has ended; what runs stays, force or not", async () => {
    const id = await start("probes");
    for (const body of [{}, { force: true }]) {
      expect(await operate("probes", id, "erase", body)).toMatchObject({
        status: 409,
        body: {
          type: "urn:durachart:problem:operation-not-possible",
          detail: expect.stringMatching(/still running/) as string,
        },
      });
    }
    await operate("probes", id, "pause");
    expect((await operate("probes", id, "erase", { force: true })).status).toBe(409);
    expect(await view("probes", id)).toMatchObject({ status: "paused", seq: 2 });
  });

  it("while a message is under way stops that, and its late end brings nothing back", async () => {
    let signal: AbortSignal | undefined;
    const gate = { isOpen: false };
    world.action = async (_params, context) => {
      signal = context.signal;
      while (!gate.isOpen) await new Promise((resolve) => setTimeout(resolve, 2));
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
    gate.isOpen = true;
    await settle();
    expect(await tablesOf("probes", id)).toEqual(["burial", "tombstone"]);
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
    expect(await tablesOf("probes", id)).toEqual(["burial", "tombstone"]);
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
    expect(await tablesOf("fleeting", id)).toEqual(["burial", "tombstone"]);
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
