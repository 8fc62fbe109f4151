import { describe, expect, it } from "vitest";
import {
  assign,
  enqueueActions,
  fromPromise,
  setup,
  spawnChild,
  type AnyStateMachine,
} from "xstate";
import { runInNode } from "../../src/testing/index.ts";

const minute = 60_000;

/** Spawns many actors that fail, then one that doesn't; the same with messages. */
const machine = setup({
  types: {} as { context: { well: number }; events: { type: "MANY" | "ONE" | "WELL" } },
  actors: { bad: fromPromise(() => Promise.resolve()), good: fromPromise(() => Promise.resolve()) },
  actions: Object.fromEntries(Array.from({ length: 21 }, (_, index) => [`tell${index}`, () => {}])),
}).createMachine({
  id: "starving",
  context: { well: 0 },
  on: {
    MANY: {
      actions: enqueueActions(({ enqueue }) => {
        for (let index = 0; index < 60; index++) {
          enqueue(spawnChild("bad", { id: `bad-${index}` }) as never);
        }
        for (let index = 0; index < 20; index++) enqueue({ type: `tell${index}` } as never);
      }),
    },
    ONE: { actions: [spawnChild("good", { id: "good" }), { type: "tell20" } as never] },
    "xstate.done.actor.good": { actions: assign({ well: 1 }) },
    "xstate.error.actor.*": {},
  },
} as never) as unknown as AnyStateMachine;

describe("what waits for its next try", () => {
  it("keeps no place from what could run, be it actors or messages", async () => {
    const down = (): never => {
      throw new Error("down");
    };
    const sinks = Array.from({ length: 20 }, (_, index) => [`tell${index}`, down] as const);
    const run = runInNode(
      { machine, effects: { actors: { bad: { attempts: 1_000, run: down as never } } } as never },
      { actors: { good: () => "well" }, actions: Object.fromEntries(sinks) },
    );
    await run.start();
    await run.send("MANY");
    await run.advance(30 * minute);
    await run.send("ONE");
    await run.advance(1_000);
    expect((await run.view()).context).toEqual({ well: 1 });
    expect(run.sent.some(({ name }) => name === "tell20")).toBe(true);
  });
});
