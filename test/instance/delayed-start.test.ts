import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { View } from "../../src/contract/view.ts";
import {
  call,
  customer,
  freshId,
  history,
  operate,
  send,
  setTime,
  stubOf,
  view,
} from "../support/client.ts";
import { actorsInHand } from "../support/in-hand.ts";
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

const at = (time: number) => new Date(time).toISOString();

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
      "durachart.terminated",
    ]);
    // There is no moment in which it ran, to be put back to.
    const { body: again } = await operate("probes", id, "rewind", { to: 1 });
    expect(again).toMatchObject({ status: "stopped", operation: { changed: false } });
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
      body: { detail: expect.stringMatching(/Erase it instead/) as string },
    });
    await evictDurableObject(stubOf("latecomers", id));
    const stillBad = await operate("latecomers", id, "retry", { incident: "start" });
    expect(stillBad.body).toMatchObject({ status: "scheduled" });
    world.guard = () => true;
    await operate("latecomers", id, "retry", { incident: "start" });
    expect(await view("latecomers", id)).toMatchObject({ status: "active", seq: 1, incidents: [] });
  });
});
