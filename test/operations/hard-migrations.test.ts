import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fromPromise, setup } from "xstate";
import { TerminalError } from "../../src/kernel/terminal-error.ts";
import type { VersionedState } from "../../src/kernel/workflow.ts";
import { runInNode } from "../../src/testing/index.ts";
import { never, shipments, worker } from "../support/worker-chart.ts";

beforeEach(() => {
  vi.spyOn(console, "warn").mockReturnValue();
  vi.spyOn(console, "error").mockReturnValue();
});

afterEach(() => {
  vi.restoreAllMocks();
});

describe("a migration", () => {
  it("tells an instance to stop that the new version has no actor for", async () => {
    const instance = runInNode(shipments);
    await instance.start();
    await instance.send("SHIP");
    const machine = setup({}).createMachine({
      id: "worker",
      version: "2",
      initial: "idle",
      states: { idle: {} },
      on: { LEAVE: {} },
    });
    await instance.deploy({
      machine,
      versions: [shipments],
      migrations: [{ from: "1", to: "2", migrate: (s) => ({ ...s, value: "idle", children: {} }) }],
    });
    expect(await instance.operate({ name: "migrate" })).toMatchObject({ ok: true });
    const sends = instance.dump().rows["effects"]!.filter(({ kind }) => kind === "send");
    expect(sends).toHaveLength(1);
  });

  it("has an actor go on that is called otherwise now", async () => {
    const instance = runInNode({ machine: worker() }, { actors: { charge: never } });
    await instance.start();
    await instance.send("CHARGE");
    const machine = setup({ actors: { pay: fromPromise<unknown>(never) } }).createMachine({
      id: "worker",
      version: "2",
      initial: "idle",
      states: { idle: {}, charging: { invoke: { id: "charge", src: "pay", onDone: "idle" } } },
    });
    let runs = 0;
    await instance.deploy(
      {
        machine,
        versions: [{ machine: worker() }],
        migrations: [
          { from: "1", to: "2", migrate: (s) => ({ ...s, children: { charge: { src: "pay" } } }) },
        ],
      },
      {
        actors: {
          pay: () => {
            runs += 1;
            return runs > 1 ? "paid" : Promise.reject(new TerminalError("declined"));
          },
        },
      },
    );
    expect(await instance.operate({ name: "migrate" })).toMatchObject({ ok: true });
    await instance.advance(120_000);
    expect(runs).toBe(1);
    expect(await instance.view()).toMatchObject({ status: "error" });
    expect(await instance.operate({ name: "retry" })).toMatchObject({ ok: true });
    await instance.settle();
    expect(runs).toBe(2);
    expect(await instance.view()).toMatchObject({ status: "active", state: "idle", pending: 0 });
  });
});

describe("a migration of an invoke without an id", () => {
  const invoking = (version: string, state: string) =>
    setup({ actors: { charge: fromPromise<unknown>(never) } }).createMachine({
      id: "worker",
      version,
      initial: state,
      states: { [state]: { invoke: { src: "charge", onDone: "paid" } }, paid: {} },
    });

  it.each([
    ["still deployed", [{ machine: invoking("1", "charging") }]],
    ["not deployed any more", []],
  ])(
    "lets it go on in a state that is called otherwise now, its version %s",
    async (_, versions) => {
      const ids: string[] = [];
      const paid = Promise.withResolvers<string>();
      const actors = {
        charge: ({ id }: { id: string }) => {
          ids.push(id);
          return ids.length === 1 ? never() : paid.promise;
        },
      };
      const instance = runInNode(invoking("1", "charging"), { actors });
      await instance.start();
      const renames = { charging: "billing" };
      const migrate = (s: VersionedState) => ({ ...s, value: "billing" });
      const machine = invoking("2", "billing");
      await instance.deploy({
        ...{ machine, versions },
        migrations: [{ from: "1", to: "2", renames, migrate }],
      });
      expect(await instance.operate({ name: "migrate" })).toMatchObject({
        view: { operation: { started: [], stopped: [] }, actors: [{ id: "0.worker.billing" }] },
      });
      await instance.advance(60_000);
      paid.resolve("paid");
      await instance.settle();
      // Taken over after its process was lost, under the id that it had.
      expect(new Set(ids).size).toBe(1);
      expect(await instance.view()).toMatchObject({ state: "paid", pending: 0 });
    },
  );

  it("stops it where its state is gone, though nobody knows the version any more", async () => {
    const instance = runInNode(invoking("1", "charging"), { actors: { charge: never } });
    await instance.start();
    const migrate = (s: VersionedState) => ({ ...s, value: "paid" });
    const machine = invoking("2", "billing");
    await instance.deploy({ machine, migrations: [{ from: "1", to: "2", migrate }] });
    expect(await instance.operate({ name: "migrate" })).toMatchObject({
      view: { state: "paid", actors: [], pending: 0 },
    });
  });
});
