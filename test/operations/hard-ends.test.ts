import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { assign, setup } from "xstate";
import { problem } from "../../src/contract/problem.ts";
import { sendLetter } from "../../src/egress/neighbours.ts";
import { momentIn, partText } from "../../src/instance/archive-format.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { ProcessDied, runInNode } from "../../src/testing/index.ts";
import { opened } from "../support/opened.ts";
import { worker } from "../support/worker-chart.ts";

beforeEach(() => {
  vi.spyOn(console, "warn").mockReturnValue();
  vi.spyOn(console, "error").mockReturnValue();
});

afterEach(() => {
  vi.restoreAllMocks();
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
    const letter = {
      kind,
      address: { tenant: "t", workflow: "w", id: "i" },
      caller: { tenant: "t" },
      ...more,
    };
    await expect(sendLetter(env, letter as never)).resolves.toBeUndefined();
    const said = { ...letter, kind: "send", of: undefined };
    await expect(sendLetter(env, said as never)).rejects.toThrow("gone");
  });
});

describe("a rewind to where an actor runs that runs still", () => {
  it.each([
    ["stops it, says so, and runs it anew while it is under way", false],
    ["doesn't run it twice where its result is here, and waits", true],
  ])("%s", async (_, isDone) => {
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
      view: {
        context: { notes: 0 },
        operation: {
          changed: true,
          stopped: isDone ? [] : ["actor charge"],
          restarted: isDone ? [] : ["actor charge"],
        },
      },
    });
    await instance.operate({ name: "resume" });
    charged.resolve("paid");
    await instance.settle();
    expect(runs).toBe(isDone ? 1 : 2);
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
