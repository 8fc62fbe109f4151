import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { assign, setup } from "xstate";
import type { Projection } from "../../src/contract/projection.ts";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { defaultLimits, type Limits } from "../../src/contract/limits.ts";
import { problem } from "../../src/contract/problem.ts";
import { sendLetter } from "../../src/egress/neighbours.ts";
import { TerminalError } from "../../src/egress/terminal-error.ts";
import { AlarmClock } from "../../src/instance/alarm-clock.ts";
import { momentIn, partText } from "../../src/instance/archive-format.ts";
import { Archiver } from "../../src/instance/archiver.ts";
import { Store } from "../../src/instance/store.ts";
import { Transactions } from "../../src/instance/transactions.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { takeProjections } from "../../src/list/consumer.ts";
import { ProcessDied, runInNode, type NodeInstance } from "../../src/testing/index.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";
import { MemoryBucket } from "../support/memory-bucket.ts";
import { shipments, worker } from "../support/worker-chart.ts";

beforeEach(() => {
  vi.spyOn(console, "warn").mockReturnValue();
  vi.spyOn(console, "error").mockReturnValue();
});

afterEach(() => {
  vi.restoreAllMocks();
});

function listed() {
  const told: Projection[] = [];
  const queue = { send: (projection: Projection) => Promise.resolve(void told.push(projection)) };
  return { told, env: { LIST_QUEUE: queue } };
}

describe("the list is told that an instance was erased", () => {
  it.each(["by an operator", "by its retention"])("%s", async (how) => {
    const { told, env } = listed();
    const retention = how === "by its retention" ? 10_000 : Infinity;
    const instance = runInNode({ machine: worker(), retention }, { env });
    await instance.start();
    await instance.send("END");
    await instance.advance(5_000);
    if (how === "by an operator") expect(await instance.erase()).toMatchObject({ ok: true });
    await instance.advance(60_000);
    expect(told.at(-1)).toMatchObject({ status: "erased", epoch: 2 });
    expect(instance.dump().alarm).toBeNull();

    const written: unknown[] = [];
    const buried: unknown[] = [];
    const database = {
      prepare: () => ({
        bind: (rows: string) => ({
          run: () => Promise.resolve(void written.push(...(JSON.parse(rows) as unknown[]))),
        }),
      }),
    };
    const message = { body: { ...told.at(-1)!, object: "a".repeat(64) }, attempts: 1 };
    await takeProjections([{ ...message, ack: vi.fn(), retry: vi.fn() } as never], {
      databases: [database as never],
      retryDelay: () => 1,
      bury: (_, reason) => Promise.resolve(void buried.push(reason)),
    });
    expect(buried).toEqual([]);
    expect(written).toMatchObject([{ status: "erased", epoch: 2 }]);
  });
});

describe("the list is told that an instance is held", () => {
  it("and that it goes on", async () => {
    const { told, env } = listed();
    const instance = runInNode(worker(), { env });
    await instance.start();
    for (const [name, status] of [["pause", "paused"] as const, ["resume", "active"] as const]) {
      await instance.operate({ name });
      await instance.advance(5_000);
      expect(told.at(-1)).toMatchObject({ status });
      expect(await instance.view()).toMatchObject({ status });
    }
  });
});

describe("what an instance was", () => {
  it("is told right where a large state is kept in parts that would cut a character in two", async () => {
    for (const offset of ["", "x"]) {
      const instance = runInNode(worker());
      await instance.start();
      const text = offset + "x".repeat(480_000) + "🍕".repeat(20_000);
      expect(await instance.send({ type: "SAY", data: text })).toMatchObject({ ok: true });
      for (let note = 0; note < 100; note++) await instance.send("NOTE");
      const { context } = await instance.moment(102);
      expect(context["text"] === text, "is the same").toBe(true);
    }
  });
});

describe("an instance that failed with an actor from before its history began again", () => {
  it("can be retried", async () => {
    let fails = true;
    const charge = Promise.withResolvers<never>();
    const instance = runInNode(
      { machine: worker(), continueAfter: 100 },
      { actors: { charge: () => (fails ? charge.promise : "paid") } },
    );
    await instance.start();
    await instance.send("CHARGE");
    for (let note = 0; note < 120; note++) await instance.send("NOTE");
    expect(await instance.view()).toMatchObject({ epoch: 2, state: "charging" });
    charge.reject(new Error("declined"));
    await instance.advance(24 * 3_600_000);
    expect(await instance.view()).toMatchObject({ status: "error" });
    fails = false;
    expect(await instance.operate({ name: "retry" })).toMatchObject({ ok: true });
    await instance.settle();
    expect(await instance.view()).toMatchObject({ status: "active", state: "idle", epoch: 2 });
  });
});

describe("a rewind", () => {
  it("doesn't call off that an instance nobody wants any more is told to stop", async () => {
    const instance = runInNode(shipments);
    await instance.start();
    await instance.send("SHIP");
    await instance.send("LEAVE");
    const stops = () =>
      instance
        .dump()
        .rows["effects"]!.filter(({ kind }) => kind === "send")
        .map((row) => row["payload"]);
    const before = stops();
    expect(before).toHaveLength(1);
    expect(await instance.operate({ name: "rewind", to: 2 })).toMatchObject({ ok: true });
    expect(stops()).toEqual(before);
  });
});

describe("an event for an instance that the deployment can't run", () => {
  it("is taken by itself once one can, where nobody asks and no list is kept", async () => {
    const instance = runInNode({ machine: worker() });
    await instance.start();
    await instance.deploy({ machine: worker("2") });
    expect(await instance.send("NOTE", "key")).toMatchObject({
      ok: true,
      reply: { outcome: "deferred" },
    });
    expect(instance.dump().alarm).not.toBeNull();
  });
});

/** An instance's storage, in the hands of the test. */
function opened(
  instance: NodeInstance,
  workflow: WorkflowDefinition,
  limits: Partial<Limits> = {},
) {
  const storage = new MemoryStorage();
  storage.load(instance.dump());
  const transactions = new Transactions({
    ...{ storage, store: new Store(storage.sql as never) },
    alarm: new AlarmClock({ storage, waitUntil: () => {} } as never),
    workflows: registerWorkflows({ tests: workflow }),
    clock: () => instance.now,
    afterCommit: () => {},
    limits: { ...defaultLimits, ...limits },
  } as never);
  return { storage, transactions };
}

describe("an instance that failed and was archived", () => {
  it("can be retried", async () => {
    let fails = true;
    const actors = { charge: () => (fails ? Promise.reject(new TerminalError("declined")) : 1) };
    const instance = runInNode(worker(), { actors });
    await instance.start();
    await instance.send("NOTE");
    await instance.send("CHARGE");
    expect(await instance.view()).toMatchObject({ status: "error" });
    const { storage, transactions } = opened(instance, { machine: worker() });
    const env = { ARCHIVE: new MemoryBucket() };
    const clock = () => instance.now;
    const archiver = new Archiver({ transactions, env, objectId: "test", clock });
    expect(await archiver.archive(1)).toMatchObject({ through: 2 });
    const again = runInNode(worker(), { actors, from: storage.dump() });
    fails = false;
    expect(await again.operate({ name: "retry" })).toMatchObject({ ok: true });
    await again.settle();
    expect(await again.view()).toMatchObject({ status: "active", state: "idle" });
  });
});

describe("an archived part", () => {
  it("tells the version right where a retry has gone back to an earlier one", () => {
    const entry = (seq: number, type: string, data: object | null) => ({
      ...{ seq, at: seq, type, outcome: "applied" as const, by: "tester", state: '"idle"' },
      data: data === null ? null : JSON.stringify(data),
      changes: '{"status":"active","inner":{"nextKey":1,"rest":{"children":{}}}}',
    });
    const rows = [
      entry(1, "durachart.started", null),
      entry(2, "durachart.migrated", { from: "1", to: "2" }),
      entry(3, "durachart.retried", { to: 1, from: "2", version: "1" }),
    ];
    const text = partText({ version: "1" } as never, rows, null);
    const versions = [1, 2, 3].map((seq) => momentIn(text, seq)!.version);
    expect(versions).toEqual(["1", "2", "1"]);
  });
});

describe("an instance that has come to its end with a full journal", () => {
  it("is erased when its time is over", async () => {
    const workflow = { machine: worker(), retention: 10_000 };
    const instance = runInNode(workflow);
    await instance.start();
    await instance.send("END");
    const { transactions } = opened(instance, workflow, { fullJournal: 2 });
    expect(transactions.due(transactions.current()!)).toBe(instance.now + 10_000);
  });
});

describe("what an actor and the instance that it is say to each other", () => {
  it.each([
    ["outcome", { of: {}, ending: { output: 1 } }],
    ["send", { of: {}, event: { type: "LEAVE" } }],
  ])("%s: is done with where the other was erased", async (kind, more) => {
    const erased = problem("erased", "gone");
    const stub = { receive: () => Promise.resolve(erased) };
    const env = { INSTANCES: { getByName: () => stub } };
    const letter = { kind, address: { tenant: "t", workflow: "w", id: "i" }, caller: {}, ...more };
    await expect(sendLetter(env, letter as never)).resolves.toBeUndefined();
    const said = { ...letter, kind: "send", of: undefined };
    await expect(sendLetter(env, said as never)).rejects.toThrow("gone");
  });
});

describe("a rewind to where an actor runs that runs still", () => {
  it.each([
    ["under way", false],
    ["done, its result waiting", true],
  ])("doesn't run it twice: %s", async (_, isDone) => {
    let runs = 0;
    const charged = Promise.withResolvers<string>();
    const actors = { charge: () => ((runs += 1), charged.promise) };
    const instance = runInNode(worker(), { actors });
    await instance.start();
    await instance.send("CHARGE");
    await instance.send("NOTE");
    await instance.operate({ name: "pause" });
    if (isDone) charged.resolve("paid");
    await instance.settle();
    expect(await instance.operate({ name: "rewind", to: 2 })).toMatchObject({
      view: { context: { notes: 0 }, operation: { changed: true, restarted: [] } },
    });
    await instance.operate({ name: "resume" });
    charged.resolve("paid");
    await instance.settle();
    expect(runs).toBe(1);
    expect(await instance.view()).toMatchObject({ state: "idle", pending: 0 });
  });
});

describe("a retention", () => {
  it.each([-1, NaN, 0.5, Number.MAX_SAFE_INTEGER])("of %s is refused", (retention) => {
    expect(() => registerWorkflows({ tests: { machine: worker(), retention } })).toThrow(
      "retention",
    );
  });
});

describe("erasing", () => {
  it("is gone on with by itself, whenever the process dies", async () => {
    for (const commit of [1, 2]) {
      const instance = runInNode(worker());
      await instance.start();
      await instance.send("END");
      instance.crash("after", commit);
      await expect(instance.erase()).rejects.toThrow(ProcessDied);
      const { rows, alarm } = instance.dump();
      expect(rows["tombstone"]).toMatchObject([{ leftovers: 1 }]);
      expect(alarm, `after commit ${commit}`).not.toBeNull();
    }
  });
});

describe("a held event", () => {
  it("on which the chart throws is kept, and taken once the chart is mended", async () => {
    const paying = (isMended: boolean) =>
      setup({}).createMachine({
        id: "paying",
        initial: "open",
        states: {
          open: {
            on: {
              PAID: {
                target: "paid",
                actions: assign(() => {
                  if (!isMended) throw new Error("forgot about cents");
                  return {};
                }),
              },
            },
          },
          paid: {},
        },
      });
    const instance = runInNode(paying(false));
    await instance.start();
    await instance.operate({ name: "pause" });
    expect(await instance.send("PAID", "key")).toMatchObject({ reply: { outcome: "deferred" } });
    await instance.operate({ name: "resume" });
    expect(await instance.view()).toMatchObject({
      ...{ held: [], deferred: [{ type: "PAID" }] },
      incidents: [{ kind: "blocked", what: "event PAID" }],
    });
    await instance.deploy(paying(true));
    expect(await instance.view()).toMatchObject({ state: "paid", deferred: [], incidents: [] });
  });
});

describe("a simulation", () => {
  it("ends before it has handled too much", async () => {
    const instance = runInNode(worker());
    await instance.start();
    const suppose = Array.from({ length: 100 }, (_, index) => ({
      ...{ type: "SAY", data: `${index}${"x".repeat(600_000)}` },
    }));
    await expect(instance.simulate(suppose)).rejects.toThrow("Suppose less");
    const { steps } = await instance.simulate(suppose.slice(0, 5));
    expect(steps).toHaveLength(5);
  });
});
