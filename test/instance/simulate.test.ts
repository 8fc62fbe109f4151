import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { attachMeter } from "../../bench/meter.ts";
import type { Simulation, Supposition } from "../../src/contract/simulation.ts";
import {
  call,
  customer,
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
const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  resetWorld();
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 20));

async function simulate(
  workflow: string,
  id: string,
  suppose: readonly Supposition[],
  { from, as }: { from?: number; as?: typeof customer } = {},
): Promise<Simulation> {
  const { status, body } = await call<Simulation>("POST", `/${workflow}/${id}/simulate`, {
    body: { suppose, ...(from === undefined ? {} : { from }) },
    ...(as === undefined ? {} : { as }),
  });
  expect(status).toBe(200);
  return body;
}

/** What a simulation says of each step, in short. */
const told = ({ steps }: Simulation) =>
  steps.map(({ event, by, outcome, state }) => ({ type: event.type, by, outcome, state }));

describe("a simulation", () => {
  it("writes nothing, sets no alarm and sends nothing, whatever is supposed", async () => {
    const { runs } = actorsInHand();
    const sent: unknown[] = [];
    world.action = (params) => Promise.resolve(void sent.push(params));
    world.emitted = (event) => Promise.resolve(void sent.push(event));
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    const stub = stubOf("probes", id);
    const { read } = await runInDurableObject(stub, (_instance, { storage }) => ({
      read: attachMeter(storage),
    }));
    const alarmOf = () => runInDurableObject(stub, (_i, { storage }) => storage.getAlarm());
    const before = { view: await view("probes", id), alarm: await alarmOf() };
    const tables = () =>
      runInDurableObject(stub, (_instance, { storage }) =>
        storage.sql.exec("SELECT name FROM sqlite_master ORDER BY name").toArray(),
      );
    const named = await tables();
    const suppose = [
      ...[{ type: "TELL" }, { advance: 10 * minute }, { type: "WORK" }],
      ...[{ actor: "work", output: 7 }, { type: "THROW_IN_ASSIGN" }, { type: "PUSH_AND_THROW" }],
      ...[{ type: "NOT_JSON" }, { type: "GROW", data: { bytes: 9 } }, { type: "END" }],
    ];
    const said = await simulate("probes", id, suppose);
    expect(said).toMatchObject({ status: "done", context: { result: 7, list: [] } });
    await simulate("probes", id, suppose, { from: 1 });
    await settle();
    const { rowsWritten, alarmsSet, commits } = read();
    expect({ rowsWritten, alarmsSet, commits }).toEqual({
      ...{ rowsWritten: 0, alarmsSet: 0, commits: 0 },
    });
    expect(await alarmOf()).toBe(before.alarm);
    expect(await view("probes", id)).toEqual(before.view);
    expect(await tables()).toEqual(named);
    await evictDurableObject(stub);
    expect(await view("probes", id)).toEqual(before.view);
    expect({ sent, runs }).toEqual({ sent: [], runs: [] });
  });

  it("says what then happens: the order's whole way", async () => {
    const id = await start("orders", addPizza("p1"));
    const stepsOfKitchen: Supposition[] = [
      addPizza("p2"),
      addPizza("p2"),
      { type: "CONFIRM_PIZZA" },
      { actor: "orderPizzaFromKitchen", output: null },
      { type: "PIZZA_IN_OVEN" },
      { type: "PIZZA_READY" },
      { actor: "orderDelivery", output: null },
      { advance: 90 * minute },
      { type: "CANCEL_ORDER" },
    ];
    const said = await simulate("orders", id, stepsOfKitchen);
    for (const one of stepsOfKitchen) {
      if ("type" in one) await send("orders", id, one, { as: { ...service, roles: ["operator"] } });
      if ("advance" in one) {
        setTime(began + one.advance);
        await runDurableObjectAlarm(stubOf("orders", id));
      }
      await settle();
    }
    const really = await view("orders", id);
    expect({ ...really, context: { ...really.context } }).toMatchObject({
      ...{ status: said.status, state: said.state, context: said.context },
    });
    const happened = (await history("orders", id)).slice(2);
    expect(told(said).filter(({ outcome }) => outcome !== "rejected")).toEqual(
      happened.map(({ event, outcome, by, state }) => ({
        ...{ type: event.type, outcome, state },
        by: by === "timer" || by === "actor" ? by : "caller",
      })),
    );
    expect(said.steps[1]).toMatchObject({
      ...{ outcome: "rejected", problem: { type: "urn:durachart:problem:event-not-allowed" } },
    });
    // What it would ask for, to the letter.
    expect(said.steps.flatMap(({ effects }) => effects.map(({ name }) => name))).toContain(
      "orderPizzaFromKitchen",
    );
  });

  it("goes from any moment of the past as well", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "COUNT" });
    await send("probes", id, { type: "END" });
    await evictDurableObject(stubOf("probes", id));
    const said = await simulate("probes", id, [{ type: "COUNT" }], { from: 2 });
    expect(said).toMatchObject({
      ...{ from: { epoch: 1, seq: 2 }, status: "active", context: { count: 2 } },
    });
    const now = await simulate("probes", id, [{ type: "COUNT" }]);
    expect(told(now)).toMatchObject([{ outcome: "rejected" }]);
    expect(
      await call("POST", `/probes/${id}/simulate`, { body: { suppose: [], from: 9 } }),
    ).toMatchObject({ status: 404 });
  });

  it("of the past begins then: deadlines that have passed since had not", async () => {
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    setTime(began + 5 * minute);
    await runDurableObjectAlarm(stubOf("probes", id));
    const rested = await simulate("probes", id, [{ type: "REST" }], { from: 2 });
    expect(told(rested)).toMatchObject([{ type: "REST", outcome: "applied", state: "idle" }]);
    const slept = await simulate("probes", id, [{ advance: minute }], { from: 2 });
    expect(slept).toMatchObject({ steps: [{ by: "timer", after: minute }], state: "idle" });
  });

  it("asks with the caller's own roles: what is forbidden is rejected", async () => {
    const id = await start("orders", addPizza("p1"));
    const said = await simulate("orders", id, [{ type: "PIZZA_READY" }, addPizza("p2")], {
      as: customer,
    });
    expect(said.steps).toMatchObject([
      { outcome: "rejected", problem: { type: "urn:durachart:problem:forbidden" } },
      { outcome: "applied" },
    ]);
  });

  it("fires what is overdue first, and takes what is deferred when it can be taken", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "DOZE" }, { as: service });
    await send("mailboxes", id, { type: "LETTER", data: { n: 1 } }, { as: service });
    const said = await simulate("mailboxes", id, [{ advance: 30_000 }, { type: "CLOSE" }]);
    expect(told(said)).toMatchObject([
      { by: "timer", state: "open" },
      { type: "LETTER", by: "deferred", outcome: "applied" },
      { type: "CLOSE", state: "closed" },
    ]);
    setTime(began + 31_000);
    const late = await simulate("mailboxes", id, []);
    expect(told(late)).toMatchObject([{ by: "timer" }, { type: "LETTER", by: "deferred" }]);
    expect(late.steps[0]!.after).toBe(0);
    expect(await view("mailboxes", id)).toMatchObject({ context: { got: [1] } });
  });

  it("lets what is deferred become late, as it would", async () => {
    const id = await start("mailboxes");
    await send("mailboxes", id, { type: "LETTER", data: { n: 1 } }, { as: service });
    const suppose: Supposition[] = [{ advance: 60_001 }, { type: "OPEN" }];
    const said = await simulate("mailboxes", id, suppose);
    setTime(began + 60_001);
    await send("mailboxes", id, { type: "OPEN" }, { as: service });
    const really = await view("mailboxes", id);
    expect(really.context["got"]).toEqual([]);
    expect(said.context).toEqual(really.context);
    expect(told(said)).toMatchObject([
      { type: "LETTER", outcome: "late", by: "deferred" },
      { type: "OPEN", outcome: "applied" },
    ]);
  });

  it("of one that is paused supposes that it goes on, with what it has kept", async () => {
    const { runs, begun } = actorsInHand();
    const id = await start("probes");
    await send("probes", id, { type: "NAP" });
    await operate("probes", id, "pause");
    await send("probes", id, { type: "COUNT" });
    setTime(began + 2 * minute);
    await send("probes", id, { type: "WORK" });
    const said = await simulate("probes", id, []);
    await operate("probes", id, "resume");
    await begun(1);
    const really = await view("probes", id);
    expect(said).toMatchObject({ state: really.state, context: really.context });
    expect(told(said).map(({ type }) => type)).toEqual([
      ...["COUNT", "xstate.after.nap.probe.napping", "WORK"],
    ]);
    runs[0]!.end = () => "done";
  });

  it("takes at most a thousand steps", async () => {
    const id = await start("spinners");
    const suppose = [{ type: "BY_TIMERS" }, { advance: minute }];
    expect(await call("POST", `/spinners/${id}/simulate`, { body: { suppose } })).toMatchObject({
      status: 422,
      body: { type: "urn:durachart:problem:unsupported" },
    });
  });

  it("supposes no actor that isn't there", async () => {
    const id = await start("probes");
    const said = await simulate("probes", id, [{ actor: "work", output: 1 }]);
    expect(said.steps).toMatchObject([
      { outcome: "rejected", problem: { type: "urn:durachart:problem:operation-not-possible" } },
    ]);
  });
});
