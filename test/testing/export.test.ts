import { afterEach, describe, expect, it, vi } from "vitest";
import type { Transition } from "../../src/contract/transition.ts";
import { runInNode, type NodeInstance } from "../../src/testing/node.ts";
import { ProcessDied } from "../../src/testing/memory-storage.ts";
import { endless } from "../support/endless.ts";
import { probe } from "../support/probe.ts";
import { randomFrom } from "../support/random.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

async function surely<Result>(act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    }
  }
}

/** What has arrived, each entry where it came first. */
function firsts(arrived: readonly Transition[]): string[] {
  return [...new Set(arrived.map(({ id }) => id))];
}

async function allEntries(instance: NodeInstance): Promise<string[]> {
  return (await instance.history()).map(({ epoch, seq }) => `${epoch}-${seq}`);
}

describe("the export", () => {
  it("has every transition, in order, whatever commit the process dies at", async () => {
    const live = async (instance: NodeInstance): Promise<void> => {
      await surely(() => instance.start());
      for (let count = 0; count < 5; count++)
        await surely(() => instance.send("COUNT", `c${count}`));
      await surely(() => instance.advance(2_000));
      await surely(() => instance.send("WORK", "work"));
      await surely(() => instance.send("TELL", "tell"));
      await surely(() => instance.advance(60_000));
      await surely(() => instance.advance(60_000));
    };
    const lived = async (prepare: (instance: NodeInstance) => void) => {
      const arrived: Transition[] = [];
      const sink = {
        send: (some: readonly Transition[]) => Promise.resolve(void arrived.push(...some)),
      };
      const instance = runInNode(probe, { export: sink });
      prepare(instance);
      await live(instance);
      return { instance, arrived };
    };
    const undisturbed = await lived(() => {});
    expect(undisturbed.arrived).toHaveLength((await allEntries(undisturbed.instance)).length);
    const { commits } = undisturbed.instance;
    for (const when of ["before", "after"] as const) {
      for (let commit = 1; commit <= commits; commit++) {
        const { instance, arrived } = await lived((one) => one.crash(when, commit));
        expect(firsts(arrived), `${when} ${commit}`).toEqual(await allEntries(instance));
      }
    }
  });

  it("has what a history that began again took with it, while the sink was down", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    for (let seed = 1; seed <= 20; seed++) {
      const random = randomFrom(seed);
      const arrived: Transition[] = [];
      let isOver = false;
      const sink = {
        send: (some: readonly Transition[]): Promise<void> => {
          const isTaken = isOver || random() < 0.5;
          // Some arrive although their sender is told that they did not.
          if (isTaken || random() < 0.5) arrived.push(...some);
          return isTaken ? Promise.resolve() : Promise.reject(new Error("down"));
        },
      };
      const instance = runInNode(endless, { export: sink });
      await instance.start();
      for (let count = 1; count <= 350; count++) {
        await instance.send("COUNT");
        if (random() < 0.1) await instance.advance(Math.floor(random() * 3_000));
      }
      isOver = true;
      for (let hour = 0; hour < 4; hour++) await instance.advance(3_600_000);
      const { epoch, seq } = await instance.view();
      expect(epoch).toBeGreaterThan(3);
      const expected = Array.from({ length: epoch }, (_, index) => index + 1).flatMap((one) =>
        Array.from({ length: one === epoch ? seq : 100 }, (_, index) => `${one}-${index + 1}`),
      );
      const inOrder = [...new Set(arrived.map(({ id }) => id))].toSorted((a, b) => {
        const [left, right] = [a, b].map((id) => id.split("-").map(Number));
        return left![0]! - right![0]! || left![1]! - right![1]!;
      });
      expect(inOrder, `seed ${seed}`).toEqual(expected);
    }
  });

  it("tells an entry as the history does, as a CloudEvent", async () => {
    const arrived: Transition[] = [];
    const instance = runInNode(probe, {
      export: { send: (some) => Promise.resolve(void arrived.push(...some)) },
    });
    await instance.start();
    await instance.send("COUNT");
    await instance.advance(2_000);
    const history = await instance.history();
    expect(arrived.map(({ data }) => data)).toEqual(history);
    expect(arrived[1]).toMatchObject({
      ...{ specversion: "1.0", id: "1-2", type: "durachart.transition", tenant: "test" },
      ...{ datacontenttype: "application/json", time: history[1]!.at },
    });
  });

  it("costs a row and an alarm a burst", async () => {
    const sink = { send: () => Promise.resolve() };
    const commitsOf = async (options: object) => {
      const instance = runInNode(probe, options);
      await instance.start();
      for (let count = 0; count < 20; count++) await instance.send("COUNT");
      const before = instance.commits;
      await instance.advance(5_000);
      return instance.commits - before;
    };
    expect(await commitsOf({ export: sink })).toBe((await commitsOf({})) + 2);
  });
});
