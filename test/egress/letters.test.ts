import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Letter } from "../../src/contract/requests.ts";
import type { EffectContext } from "../../src/kernel/workflow.ts";
import {
  call,
  eventually,
  freshId,
  history,
  operator,
  send,
  setTime,
  start,
  stubOf,
  view,
} from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

const began = 1_800_000_000_000;
const second = 1_000;

beforeEach(resetWorld);

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const parentOf = (id: string) => view("parents", id);
const helperOf = (id: string) => view("helpers", id);
const workOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) =>
    storage.sql.exec("SELECT * FROM effects").toArray(),
  );

describe("a named action that speaks to another instance", () => {
  const calls = (act: (context: EffectContext<unknown>, n: number) => Promise<void>) => {
    world.leave = (_, params, context) => act(context, (params as { n: number }).n);
  };
  const callNow = (id: string, n: number) => send("parents", id, { type: "CALL", data: { n } });

  it("starts instances and sends them events, once, however often it runs", async () => {
    vi.spyOn(Math, "random").mockReturnValue(0.001);
    const helper = freshId();
    let runs = 0;
    calls(async (context, n) => {
      runs += 1;
      await context.start("helpers", { id: helper, input: { task: "sweep" } });
      await context.send("helpers", helper, { type: "NOTE", data: `${n} first` });
      await context.send("helpers", helper, { type: "NOTE", data: `${n} second` });
      if (context.attempt < 3) throw new Error("the process died, say");
    });
    const id = await start("parents");
    for (const n of [1, 2]) await callNow(id, n);
    await eventually(
      () => workOf("parents", id),
      (rows) => rows.length === 0,
    );
    expect(runs).toBe(6);
    const found = await helperOf(helper);
    expect(found.context).toEqual({
      task: "sweep",
      notes: ["1 first", "1 second", "2 first", "2 second"],
    });
    expect(found).not.toHaveProperty("parent");
    expect((await history("helpers", helper)).map(({ by }) => by)).toEqual(
      Array.from({ length: 5 }, () => `instance:parents/${id}`),
    );
  });

  it("starts an instance that is there already: that is fine, and changes nothing", async () => {
    const helper = freshId();
    await call("POST", "/helpers", { body: { id: helper, input: { task: "mine" } } });
    calls((context) => context.start("helpers", { id: helper, input: { task: "yours" } }));
    const id = await start("parents");
    await callNow(id, 1);
    await eventually(
      () => workOf("parents", id),
      (rows) => rows.length === 0,
    );
    expect(await helperOf(helper)).toMatchObject({ seq: 1, context: { task: "mine" } });
  });

  it("sends what the other has no use for yet: it is deferred there", async () => {
    const helper = freshId();
    await call("POST", "/helpers", { body: { id: helper, input: { task: "wait" } } });
    calls((context) => context.send("helpers", helper, { type: "LATER", data: "now" }));
    const id = await start("parents");
    await callNow(id, 1);
    await eventually(
      () => helperOf(helper),
      ({ deferred }) => deferred.length === 1,
    );
    await send("helpers", helper, { type: "OPEN" });
    expect((await helperOf(helper)).context["notes"]).toEqual(["now"]);
  });

  it("sends to an instance that is not there yet until it is", async () => {
    setTime(began);
    const helper = freshId();
    calls((context) => context.send("helpers", helper, { type: "NOTE", data: "early" }));
    const id = await start("parents");
    await callNow(id, 1);
    await eventually(
      () => parentOf(id),
      ({ retrying }) => retrying.length === 1,
    );
    await call("POST", "/helpers", { body: { id: helper, input: { task: "late" } } });
    setTime(began + second);
    await runDurableObjectAlarm(stubOf("parents", id));
    await eventually(
      () => helperOf(helper),
      ({ context }) => (context["notes"] as unknown[]).length === 1,
    );
  });

  it("sends to one that has come to its end: parked at once, and what follows goes on", async () => {
    const [over, well] = [freshId(), freshId()];
    for (const id of [over, well]) {
      await call("POST", "/helpers", { body: { id, input: { task: "sweep" } } });
    }
    await send("helpers", over, { type: "FINISH" });
    calls((context, n) => context.send("helpers", n === 1 ? over : well, { type: "NOTE" }));
    const id = await start("parents");
    for (const n of [1, 2]) await callNow(id, n);
    await eventually(
      () => helperOf(well),
      ({ seq }) => seq === 2,
    );
    const { incidents, retrying } = await parentOf(id);
    expect(incidents).toMatchObject([
      {
        kind: "exhausted",
        what: "command call",
        error: expect.stringMatching(/has come to its end/) as string,
      },
    ]);
    expect(retrying).toEqual([]);
  });

  it("has sent what was the other's end: the repeat was taken, anything else was not", async () => {
    const helper = freshId();
    await call("POST", "/helpers", { body: { id: helper, input: { task: "sweep" } } });
    const receive = (dedupe: string) => {
      const letter: Letter = {
        kind: "send",
        address: { tenant: "tropical", workflow: "helpers", id: helper },
        caller: operator,
        hops: 1,
        event: { type: "FINISH", data: "clean" },
        dedupe,
      };
      return stubOf("helpers", helper).receive(JSON.stringify(letter));
    };
    expect(await receive("first")).toBeNull();
    expect(await receive("first")).toBeNull();
    expect(await receive("second")).toMatchObject({
      type: "urn:durachart:problem:has-ended",
      status: 409,
    });
  });

  it.each<[string, (context: EffectContext<unknown>) => Promise<void>, RegExp]>([
    ["an unknown event", (c) => c.send("echoes", "x", { type: "NONE" }), /no event of echoes/],
    ["an unknown workflow", (c) => c.send("nobodies", "x", { type: "X" }), /no workflow/],
    ["an id that is none", (c) => c.start("echoes", { id: "not an id" }), /An id has/],
  ])("that says what can't be understood is parked, and shown: %s", async (_, act, error) => {
    calls(act);
    const id = await start("parents");
    await callNow(id, 1);
    const parked = await eventually(
      () => parentOf(id),
      ({ incidents }) => incidents.length === 1,
    );
    expect(parked.incidents).toMatchObject([{ kind: "exhausted", what: "command call", error }]);
  });
});
