import { expect, it } from "vitest";
import * as v from "valibot";
import { createMachine } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { runInNode } from "../../src/testing/index.ts";

const access = { clerk: { instances: "all" }, boss: { instances: "all" } } as const;
const version = (name: string, from: string[]): WorkflowDefinition => ({
  machine: createMachine({
    ...{ id: "says", version: name, initial: "there" },
    states: { there: { on: { SAY: "there" } } },
  }),
  events: { SAY: { schema: v.string(), from } },
  access,
});

it("What events carry is shown by the rules of the instance's own version, in its history too", async () => {
  const first = version("1", ["boss"]);
  const begun = runInNode(first);
  await begun.start();
  await begun.send({ type: "SAY", data: "CANARY" });
  // From version 2 on clerks may say something too: of version 2.
  const second = { ...version("2", ["boss", "clerk"]), versions: [first] } as WorkflowDefinition;
  const seenBy = async (role: string) =>
    JSON.stringify(await runInNode(second, { roles: [role], from: begun.dump() }).history());
  expect(await seenBy("boss")).toContain("CANARY");
  expect(await seenBy("clerk")).not.toContain("CANARY");
});
