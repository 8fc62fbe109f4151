import { assign, createMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { ProcessDied, runInNode } from "../../src/testing/index.ts";

const minute = 60_000;

/** Three deadlines at once. */
const machine = createMachine({
  id: "alarms",
  context: { fired: [] as string[] },
  type: "parallel",
  states: Object.fromEntries(
    ["a", "b", "c"].map((name) => [
      name,
      {
        initial: "waiting",
        states: {
          waiting: {
            after: {
              [minute]: {
                target: "done",
                actions: assign({
                  fired: ({ context }: { context: { fired: string[] } }) => [
                    ...context.fired,
                    name,
                  ],
                }),
              },
            },
          },
          done: {},
        },
      },
    ]),
  ) as never,
});

const fired = ({ context }: { context: Record<string, unknown> }) => context["fired"];

describe("an alarm", () => {
  it.each([1, 2, 3].flatMap((commit) => [["before", commit] as const, ["after", commit] as const]))(
    "whose process dies %s the commit of timer %i fires each timer once",
    async (when, commit) => {
      const run = runInNode(machine);
      await run.start();
      run.crash(when, commit);
      await expect(run.advance(minute)).rejects.toThrow(ProcessDied);
      await run.advance(minute);
      expect(fired(await run.view())).toEqual(["a", "b", "c"]);
      expect(await run.history()).toHaveLength(4);
    },
  );

  it("fires nothing early, after any number of restarts", async () => {
    const run = runInNode(machine);
    await run.start();
    for (let passed = 0; passed < 59; passed++) {
      await run.advance(1_000);
      await run.restart();
    }
    await run.advance(999);
    expect(fired(await run.view())).toEqual([]);
    await run.advance(1);
    expect(fired(await run.view())).toEqual(["a", "b", "c"]);
  });
});
