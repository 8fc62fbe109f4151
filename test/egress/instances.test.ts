import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Letter, ParentLink } from "../../src/contract/requests.ts";
import { TerminalError } from "../../src/index.ts";
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
});

const parentOf = (id: string) => view("parents", id);
const helperOf = (id: string) => view("helpers", id);
/** Wakes it up first, should it be asleep: what isn't there can't be evicted. */
async function evict(workflow: string, id: string): Promise<void> {
  await view(workflow, id);
  await evictDurableObject(stubOf(workflow, id));
}
const ring = (workflow: string, id: string) => runDurableObjectAlarm(stubOf(workflow, id));
const wait = (id: string, data: object) => send("parents", id, { type: "WAIT", data });
const hire = (id: string, data: object) => send("parents", id, { type: "HIRE", data });

/** The helper of an instance, once it is there. */
async function helperThatIsThere(id: string): Promise<void> {
  await eventually(
    () => call("GET", `/helpers/${id}`),
    ({ status }) => status === 200,
  );
}

const reports = (id: string, count: number) =>
  eventually(
    async () => (await parentOf(id)).context["reports"] as object[],
    (found) => found.length === count,
  );

const workOf = (workflow: string, id: string) =>
  runInDurableObject(stubOf(workflow, id), (_instance, { storage }) =>
    storage.sql.exec<{ kind: string; status: string }>("SELECT * FROM effects").toArray(),
  );

describe("an actor that is another instance", () => {
  it("is started with its input; each shows the other", async () => {
    const id = await start("parents");
    await wait(id, { input: { task: "sweep" } });
    const helper = `${id}~1-1`;
    expect((await parentOf(id)).actors).toEqual([
      {
        id: "invoked",
        src: "helper",
        status: "active",
        instance: { workflow: "helpers", id: helper },
      },
    ]);
    await helperThatIsThere(helper);
    expect(await helperOf(helper)).toMatchObject({
      state: "working",
      context: { task: "sweep" },
      parent: { workflow: "parents", id },
    });
    expect((await history("helpers", helper))[0]).toMatchObject({ by: `instance:parents/${id}` });
  });

  it("hands its output to the one that asked for it", async () => {
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await send("helpers", helper, { type: "FINISH", data: "clean" });
    expect(await reports(id, 1)).toEqual([
      { by: "invoked", output: { task: "sweep", notes: ["clean"] } },
    ]);
    expect(await parentOf(id)).toMatchObject({ state: "served", actors: [] });
    expect(await workOf("parents", id)).toEqual([]);
    await eventually(
      () => workOf("helpers", helper),
      (rows) => rows.length === 0,
    );
  });

  it("may be sent its first event with the start, and be done with it", async () => {
    const id = await start("parents");
    const event = { type: "FINISH", data: "at once" };
    await wait(id, { input: { task: "wink" }, event });
    expect(await reports(id, 1)).toMatchObject([{ output: { task: "wink", notes: ["at once"] } }]);
    await eventually(
      () => workOf("parents", id),
      (rows) => rows.length === 0,
    );
  });

  it("hands its failure on as an error", async () => {
    world.actor = () => Promise.reject(new TerminalError("the broom broke"));
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await send("helpers", helper, { type: "FAIL" });
    expect(await reports(id, 1)).toEqual([
      { by: "invoked", error: { name: "TerminalError", message: "the broom broke" } },
    ]);
    expect(await helperOf(helper)).toMatchObject({ status: "error" });
    expect(await parentOf(id)).toMatchObject({ state: "failed", status: "active" });
  });

  it.each<[string, () => Promise<object>, RegExp]>([
    [
      "whose input the other's schema refuses",
      () => Promise.resolve({ input: { task: 1 } }),
      /task/,
    ],
    [
      "whose id is in use",
      async () => {
        const id = freshId();
        await call("POST", "/helpers", { body: { id, input: { task: "mine" } } });
        return { id, input: { task: "sweep" } };
      },
      /was started with another/,
    ],
    [
      "whose id is none",
      () => Promise.resolve({ id: "not an id", input: { task: "sweep" } }),
      /An id has/,
    ],
  ])("%s fails at once", async (_, asked, message) => {
    const id = await start("parents");
    await wait(id, await asked());
    expect(await reports(id, 1)).toMatchObject([{ by: "invoked", error: { message } }]);
    expect((await parentOf(id)).state).toBe("failed");
  });

  it("is told when its state is left, and nobody hears of its end", async () => {
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await send("parents", id, { type: "LEAVE" });
    await eventually(
      () => helperOf(helper),
      ({ state }) => state === "dismissed",
    );
    expect((await history("helpers", helper)).at(-1)).toMatchObject({
      event: { type: "DISMISS" },
      by: `instance:parents/${id}`,
    });
    await eventually(
      () => workOf("helpers", helper),
      (rows) => rows.length === 0,
    );
    expect(await parentOf(id)).toMatchObject({
      state: "idle",
      seq: 3,
      context: { reports: [] },
      incidents: [],
    });
  });

  it("is told when the whole machine comes to its end", async () => {
    const id = await start("parents");
    const helper = freshId();
    await hire(id, { as: "a", id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await send("parents", id, { type: "END" });
    await eventually(
      () => helperOf(helper),
      ({ state }) => state === "dismissed",
    );
  });

  it("that is another's by now is not told", async () => {
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await runInDurableObject(stubOf("helpers", helper), (_instance, { storage }) => {
      storage.sql.exec("UPDATE identity SET parent = json_set(parent, '$.key', 7)");
    });
    await evict("helpers", helper);
    await send("parents", id, { type: "LEAVE" });
    await eventually(
      () => workOf("parents", id),
      (rows) => rows.length === 0,
    );
    expect(await helperOf(helper)).toMatchObject({ state: "working", seq: 1 });
  });

  it("is told only by who had it started, and only until its end", async () => {
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    const of: ParentLink = { workflow: "parents", id, key: 1, epoch: 1 };
    const tell = (other: Partial<ParentLink>, to = helper) => {
      const letter: Letter = {
        kind: "send",
        address: { tenant: "tropical", workflow: "helpers", id: to },
        caller: operator,
        hops: 1,
        event: { type: "DISMISS" },
        dedupe: freshId(),
        of: { ...of, ...other },
      };
      return stubOf("helpers", to).receive(JSON.stringify(letter));
    };
    for (const other of [{ workflow: "families" }, { id: "x" }, { key: 2 }, { epoch: 2 }]) {
      expect(await tell(other)).toBeNull();
    }
    expect(await helperOf(helper)).toMatchObject({ state: "working", seq: 1 });
    expect(await tell({}, freshId())).toMatchObject({ status: 404 });
    expect(await tell({})).toBeNull();
    expect(await tell({})).toBeNull();
    expect(await helperOf(helper)).toMatchObject({ state: "dismissed", seq: 2 });
  });

  it("gets an id of its own, however long its parent's is", async () => {
    const common = `${freshId()}-`.padEnd(199, "p");
    const ids = [`${common}1`, `${common}2`, common.slice(0, 197)];
    const helpers = await Promise.all(
      ids.map(async (id) => {
        await call("POST", "/parents", { body: { id } });
        await wait(id, { input: { task: "sweep" } });
        const [actor] = (await parentOf(id)).actors;
        return actor!.instance!.id;
      }),
    );
    expect(new Set(helpers).size).toBe(3);
    for (const [index, helper] of helpers.entries()) {
      await helperThatIsThere(helper);
      await send("helpers", helper, { type: "FINISH", data: index });
      expect(await reports(ids[index]!, 1)).toMatchObject([{ output: { notes: [index] } }]);
    }
  });

  it("is reached though another can't be run", async () => {
    const id = await start("parents");
    const [broken, well] = [freshId(), freshId()];
    for (const [as, helper] of [
      ["a", broken],
      ["b", well],
    ] as const) {
      await hire(id, { as, id: helper, input: { task: "sweep" } });
      await helperThatIsThere(helper);
    }
    await runInDurableObject(stubOf("helpers", broken), (_instance, { storage }) => {
      storage.sql.exec("UPDATE identity SET version = 'another'");
    });
    await evict("helpers", broken);
    for (const as of ["a", "b"]) await send("parents", id, { type: "FIRE", data: { as } });
    await eventually(
      () => helperOf(well),
      ({ state }) => state === "dismissed",
    );
    // What can't be run keeps what is said to it.
    const kept = await eventually(
      () => helperOf(broken),
      ({ held }) => held.length === 1,
    );
    expect(kept).toMatchObject({ status: "quarantined", held: [{ type: "DISMISS" }] });
  });

  it("survives an eviction of both between any two steps", async () => {
    const id = await start("parents");
    const helper = freshId();
    const evictBoth = async () => {
      await evict("parents", id);
      await evict("helpers", helper);
    };
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    await evictBoth();
    expect((await parentOf(id)).actors).toMatchObject([{ instance: { id: helper } }]);
    expect(await helperOf(helper)).toMatchObject({ parent: { id } });
    await evictBoth();
    await send("helpers", helper, { type: "NOTE", data: 1 });
    await evictBoth();
    await send("helpers", helper, { type: "FINISH", data: 2 });
    expect(await reports(id, 1)).toMatchObject([{ output: { notes: [1, 2] } }]);
    await evictBoth();
    expect((await parentOf(id)).context["reports"]).toHaveLength(1);
  });

  it("is asked for again where a process dies before it hears that it is there", async () => {
    setTime(began);
    const id = await start("parents");
    const helper = freshId();
    const isAway = () =>
      eventually(
        () => workOf("parents", id),
        ([row]) => row?.status === "away",
      );
    await wait(id, { id: helper, input: { task: "sweep" } });
    await isAway();
    await runInDurableObject(stubOf("parents", id), (_instance, { storage }) => {
      storage.sql.exec("UPDATE effects SET status = 'running', due = ?", began + 30 * second);
    });
    await evict("parents", id);
    setTime(began + 30 * second);
    await ring("parents", id);
    await isAway();
    expect(await helperOf(helper)).toMatchObject({ seq: 1 });
    await send("helpers", helper, { type: "FINISH" });
    expect(await reports(id, 1)).toHaveLength(1);
  });

  it("that tells its outcome twice is heard once, and never for another", async () => {
    const id = await start("parents");
    const helper = freshId();
    await wait(id, { id: helper, input: { task: "sweep" } });
    await helperThatIsThere(helper);
    const link = await runInDurableObject(stubOf("helpers", helper), (_instance, { storage }) => {
      const { parent } = storage.sql.exec<{ parent: string }>("SELECT parent FROM identity").one();
      return JSON.parse(parent) as ParentLink;
    });
    await send("helpers", helper, { type: "FINISH", data: "first" });
    await reports(id, 1);
    const letter: Letter = {
      kind: "outcome",
      address: { tenant: "tropical", workflow: "parents", id },
      caller: operator,
      hops: 1,
      of: link,
      ending: { output: "again" },
    };
    const repeat = () => stubOf("parents", id).receive(JSON.stringify(letter));
    expect(await repeat()).toBeNull();
    await wait(id, { input: { task: "sweep again" } });
    expect(await repeat()).toBeNull();
    expect(await parentOf(id)).toMatchObject({
      state: "waiting",
      context: { reports: [{ output: { notes: ["first"] } }] },
    });
  });
});
