import { describe, expect, it } from "vitest";
import type { Projection } from "../../src/contract/projection.ts";
import { ProcessDied } from "../../src/testing/memory-storage.ts";
import { runInNode, type NodeInstance } from "../../src/testing/node.ts";
import { probe } from "../support/probe.ts";

/** Keeps on until the process lives through it. */
async function surely<Result>(act: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ProcessDied)) throw error;
    }
  }
}

async function live(instance: NodeInstance): Promise<void> {
  await surely(() => instance.start());
  await surely(() => instance.send("WORK", "work"));
  await surely(() => instance.advance(2_000));
  await surely(() => instance.send("TELL", "tell"));
  await surely(() => instance.send("NAP", "nap"));
  await surely(() => instance.advance(200_000));
}

function listed() {
  const told: Projection[] = [];
  const queue = { send: (projection: Projection) => Promise.resolve(void told.push(projection)) };
  return { told, instance: runInNode(probe, { env: { LIST_QUEUE: queue } }) };
}

describe("the list learns the truth", () => {
  it("of an instance whose process dies before or after any of its commits", async () => {
    const undisturbed = listed();
    await live(undisturbed.instance);
    const { commits } = undisturbed.instance;
    expect(commits).toBeGreaterThan(10);
    for (const when of ["before", "after"] as const) {
      for (let commit = 1; commit <= commits; commit++) {
        const { told, instance } = listed();
        instance.crash(when, commit);
        await live(instance);
        const { seq, epoch, status, state } = await instance.view();
        const newest = told.toSorted((a, b) => a.seq - b.seq || a.revision - b.revision).at(-1);
        expect(newest, `${when} commit ${commit}`).toMatchObject({ seq, epoch, status, state });
        // Once a second at most, but for what was sent and not noted.
        expect(told.length).toBeLessThanOrEqual(undisturbed.told.length + 2);
      }
    }
  });
});
