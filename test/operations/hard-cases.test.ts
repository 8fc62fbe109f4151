import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Projection } from "../../src/contract/projection.ts";
import { TerminalError } from "../../src/kernel/terminal-error.ts";
import { Archiver } from "../../src/instance/archiver.ts";
import { takeProjections } from "../../src/list/consumer.ts";
import { runInNode } from "../../src/testing/index.ts";
import { opened } from "../support/opened.ts";
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
