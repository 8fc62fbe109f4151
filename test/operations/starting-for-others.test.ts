import { expect, it } from "vitest";
import { createMachine } from "xstate";
import { runInNode } from "../../src/testing/index.ts";

it("A repeat by who has started an instance for somebody else finds it, and sees nothing of it", async () => {
  const machine = createMachine({ id: "order", context: { secret: "CANARY" } });
  const access = { till: { start: true } };
  const instance = runInNode({ machine, access, owner: () => "carla" }, { roles: ["till"] });
  const first = await instance.start({ input: { a: 1 } });
  // The answer was lost. Told that the id is in use, it would start another.
  const again = await instance.start({ input: { a: 1 } });
  expect(again).toEqual(first);
  expect(JSON.stringify(again)).not.toContain("CANARY");
  await expect(instance.start({ input: { a: 2 } })).rejects.toThrow(/another input/);
  await expect(instance.view()).rejects.toThrow(/There is no/);
});
