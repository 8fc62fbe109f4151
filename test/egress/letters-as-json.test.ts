import { runInDurableObject } from "cloudflare:test";
import { assign, setup } from "xstate";
import * as v from "valibot";
import { expect, it } from "vitest";
import type { Letter } from "../../src/contract/requests.ts";
import { Engine } from "../../src/instance/engine.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { freshId, operator, stubOf } from "../support/client.ts";

const date = v.pipe(
  v.string(),
  v.transform((text) => new Date(text)),
);

const diaries = registerWorkflows({
  helpers: {
    machine: setup({
      types: {} as {
        context: { since: unknown; days: unknown[] };
        input: { since: unknown };
        events: { type: "DAY"; data?: unknown };
      },
    }).createMachine({
      id: "diary",
      context: ({ input }) => ({ since: input.since, days: [] }),
      on: {
        DAY: {
          actions: assign({
            days: ({ context, event }) => [...context.days, event.data ?? "none"],
          }),
        },
      },
    }),
    input: v.object({ since: date }),
    events: { DAY: { schema: v.optional(v.object({ on: date, skipped: v.optional(v.any()) })) } },
  },
});

it("What a schema makes of a letter's data crosses as JSON, as it does over HTTP", async () => {
  const id = freshId();
  const address = { tenant: "tropical", workflow: "helpers", id };
  const common = { address, caller: operator, hops: 1 };
  const day = (text: string) => ({ type: "DAY", data: { on: text } });
  const letters: Letter[] = [
    {
      ...{ ...common, kind: "start", fingerprint: "one", event: day("2027-01-15") },
      input: { since: "2027-01-14" },
    },
    { ...common, kind: "send", dedupe: "two", event: day("2027-01-16") },
    { ...common, kind: "send", dedupe: "two", event: day("2027-01-16") },
    { ...common, kind: "send", dedupe: "three", event: { type: "DAY" } },
  ];
  const context = await runInDurableObject(stubOf("helpers", id), (_instance, state) => {
    const engine = new Engine({
      ...{ context: state, env: {}, workflows: diaries, destinations: {}, transports: {} },
      clock: () => 1_800_000_000_000,
      show: () => {},
    });
    for (const letter of letters) expect(engine.receive(JSON.stringify(letter))).toBeNull();
    const reply = engine.get({ address, caller: operator });
    if (!reply.ok) throw new Error(reply.problem.detail);
    return (JSON.parse(reply.json) as { context: unknown }).context;
  });
  expect(context).toEqual({
    since: "2027-01-14T00:00:00.000Z",
    days: [{ on: "2027-01-15T00:00:00.000Z" }, { on: "2027-01-16T00:00:00.000Z" }, "none"],
  });
});
