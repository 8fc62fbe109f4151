import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
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
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const minute = 60_000;
const hour = 60 * minute;

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 10));

/** Lets an hour a time pass and rings the alarm, until somebody has to look. */
async function untilIncident(workflow: string, id: string): Promise<string> {
  for (let passed = 0; passed < 40; passed++) {
    setTime(Date.now() + hour);
    await runDurableObjectAlarm(stubOf(workflow, id));
    await settle();
    const { incidents } = await view(workflow, id);
    if (incidents[0] !== undefined) return incidents[0].id;
  }
  throw new Error("Nothing is wrong");
}

describe("retry of", () => {
  it("an exhausted message delivers it, under the same id", async () => {
    const ids: string[] = [];
    world.action = (_params, { id }) => {
      ids.push(id);
      return Promise.reject(new Error("nobody is there"));
    };
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    const incident = await untilIncident("probes", id);
    const before = await view("probes", id);
    expect(before.incidents).toMatchObject([
      {
        ...{ id: incident, kind: "exhausted", what: "command tellTheWorld" },
        mend: `POST /probes/${id}/retry {"incident":"${incident}"}`,
      },
    ]);
    await evictDurableObject(stubOf("probes", id));
    const tries = ids.length;
    world.action = (_params, context) => {
      ids.push(context.id);
      return Promise.resolve();
    };
    const { body } = await operate("probes", id, "retry", { incident });
    expect(body.operation).toEqual({ name: "retry", changed: true, incidents: [incident] });
    await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 0,
    );
    expect(ids).toHaveLength(tries + 1);
    expect(new Set(ids).size).toBe(1);
    expect((await view("probes", id)).incidents).toEqual([]);
    const again = await operate("probes", id, "retry");
    expect(again.body.operation).toEqual({ name: "retry", changed: false });
  });

  it("what waits for its next try is at once, not in an hour", async () => {
    let fails = true;
    world.action = () => (fails ? Promise.reject(new Error("not now")) : Promise.resolve());
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    await eventually(
      () => view("probes", id),
      ({ retrying }) => retrying.length === 1,
    );
    fails = false;
    expect((await operate("probes", id, "retry")).body.operation.changed).toBe(true);
    await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 0,
    );
  });

  it("a blocked timer fires it; while its cause is there, it is blocked again", async () => {
    world.guard = () => {
      throw new Error("the guard broke");
    };
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    const incident = await untilIncident("probes", id);
    expect(incident).toMatch(/^timer:/);
    await operate("probes", id, "retry", { incident });
    expect(await view("probes", id)).toMatchObject({ state: "napping", incidents: [] });
    expect(await untilIncident("probes", id)).toBe(incident);
    world.guard = () => true;
    await evictDurableObject(stubOf("probes", id));
    await operate("probes", id, "retry", { incident });
    expect(await view("probes", id)).toMatchObject({ state: "idle", context: { count: 1 } });
    const entries = await history("probes", id);
    expect(entries.at(-2)).toMatchObject({
      event: { type: "durachart.retried", data: { incidents: [incident] } },
    });
    expect(entries.at(-1)).toMatchObject({ by: "timer", outcome: "applied" });
  });

  it("a result on which the chart throws brings it to the chart", async () => {
    world.guard = () => {
      throw new Error("the guard broke");
    };
    const id = await start("spinners");
    await send("spinners", id, { type: "BY_ACTORS" });
    const incident = await untilIncident("spinners", id);
    expect((await view("spinners", id)).incidents).toMatchObject([
      { id: incident, kind: "blocked", what: "actor promise" },
    ]);
    // It takes the result that waits, and no other.
    let left = 1;
    world.guard = () => left-- > 0;
    await evictDurableObject(stubOf("spinners", id));
    await operate("spinners", id, "retry", { incident });
    const done = await eventually(
      () => view("spinners", id),
      ({ pending }) => pending === 0,
    );
    expect(done).toMatchObject({ context: { turns: 1 }, incidents: [] });
  });

  it("a deferred event that failed takes it where it can be taken", async () => {
    const id = await start("mailboxes");
    for (const type of ["BOMB", "SPOIL"]) {
      await send("mailboxes", id, { type }, { as: service });
    }
    await send("mailboxes", id, { type: "OPEN" }, { as: service });
    const { incidents, deferred } = await view("mailboxes", id);
    expect(deferred).toHaveLength(2);
    expect(incidents).toMatchObject([
      {
        id: "event:2",
        kind: "blocked",
        what: "event BOMB",
        error: expect.stringContaining("the bomb went off") as string,
      },
      { id: "event:3", kind: "blocked", what: "event SPOIL" },
    ]);
    await evictDurableObject(stubOf("mailboxes", id));
    expect((await view("mailboxes", id)).incidents).toHaveLength(2);
    world.guard = () => false;
    const { body } = await operate("mailboxes", id, "retry", { incident: "event:2" });
    expect(body.operation["incidents"]).toEqual(["event:2"]);
    expect(await view("mailboxes", id)).toMatchObject({
      ...{ deferred: [], incidents: [], context: { spoilt: "well" } },
    });
    const outcomes = (await history("mailboxes", id)).map(
      ({ event, outcome }) => `${event.type} ${outcome}`,
    );
    expect(outcomes.slice(-3)).toEqual([
      "durachart.retried applied",
      "BOMB applied",
      "SPOIL applied",
    ]);
  });

  it("an instance in error goes on before it, its actor under another id; the old is dead", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("families");
    await send("families", id, { type: "TO_ELDEST", data: { type: "WORK" } });
    await begun(1);
    runs[0]!.end = () => {
      throw Object.assign(new Error("out of luck"), { name: "TerminalError" });
    };
    const failed = await eventually(
      () => view("families", id),
      ({ status }) => status === "error",
    );
    expect(failed).toMatchObject({ error: { message: "out of luck" } });
    await evictDurableObject(stubOf("families", id));
    const { body } = await operate("families", id, "retry", { reason: "the luck is back" });
    expect(body).toMatchObject({
      ...{ status: "active", state: "home", seq: failed.seq + 1 },
      operation: { changed: true, incidents: ["error"], restarted: ["actor work"] },
    });
    expect(body).not.toHaveProperty("error");
    await begun(2);
    expect(runs[1]!.id).not.toBe(runs[0]!.id);
    runs[1]!.end = () => "worked";
    await eventually(
      () => history("families", id),
      (entries) => entries.at(-1)!.event.type === "xstate.done.actor.work",
    );
    expect(await view("families", id)).toMatchObject({ status: "active", incidents: [] });
    expect((await history("families", id)).at(-2)).toMatchObject({
      event: { type: "durachart.retried", data: { reason: "the luck is back" } },
    });
  });

  it("an incident that there is not is refused, and nothing changes", async () => {
    const id = await start("probes");
    for (const incident of ["timer:1", "effect:9", "event:1", "", "error"]) {
      expect(await operate("probes", id, "retry", { incident })).toMatchObject({
        status: 409,
        body: { type: "urn:durachart:problem:operation-not-possible" },
      });
    }
    expect((await view("probes", id)).seq).toBe(1);
  });

  it("one of several leaves the others as they are", async () => {
    world.action = () => Promise.reject(Object.assign(new Error("no"), { name: "TerminalError" }));
    world.emitted = world.action as typeof world.emitted;
    const id = await start("probes");
    await send("probes", id, { type: "TELL" });
    const { incidents } = await eventually(
      () => view("probes", id),
      (found) => found.incidents.length === 2,
    );
    world.action = () => Promise.resolve();
    await operate("probes", id, "retry", { incident: incidents[0]!.id });
    const left = await eventually(
      () => view("probes", id),
      ({ pending }) => pending === 1,
    );
    expect(left.incidents).toEqual([incidents[1]]);
  });

  it("while something runs leaves that alone: it runs once", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "WORK" });
    await begun(1);
    expect((await operate("probes", id, "retry")).body.operation.changed).toBe(false);
    await settle();
    expect(runs).toHaveLength(1);
    runs[0]!.end = () => "once";
    await eventually(
      () => view("probes", id),
      ({ state }) => state === "idle",
    );
  });
});
