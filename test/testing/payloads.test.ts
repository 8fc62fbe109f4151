import { assign, fromPromise, setup } from "xstate";
import { expect, it } from "vitest";
import type { PayloadReference } from "../../src/index.ts";
import type { EffectContext, WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { referenceTo, runInNode } from "../../src/testing/index.ts";

type Run = EffectContext<unknown> & { input: { document: PayloadReference } };

const reader: WorkflowDefinition = {
  machine: setup({
    types: {} as {
      context: { document: unknown; read: unknown; error: unknown };
      events: { type: "READ"; data: unknown };
    },
    actors: { read: fromPromise<unknown, { document: unknown }>(() => Promise.resolve()) },
  }).createMachine({
    id: "reader",
    context: { document: null, read: null, error: null },
    initial: "idle",
    states: {
      idle: {
        on: {
          READ: { target: "reading", actions: assign({ document: ({ event }) => event.data }) },
        },
      },
      reading: {
        invoke: {
          src: "read",
          input: ({ context }) => ({ document: context.document }),
          onDone: { target: "idle", actions: assign({ read: ({ event }) => event.output }) },
          onError: { target: "idle", actions: assign({ error: ({ event }) => event.error }) },
        },
      },
    },
  }),
  effects: {
    actors: {
      read: {
        run: async ({ input, payload, attempt }: Run) => {
          const document = await payload(input.document);
          const { size, type } = document;
          return { json: await document.json(), text: await document.text(), size, type, attempt };
        },
      },
    },
  },
};

async function read(data: unknown, payloads: Record<string, string | Uint8Array> = {}) {
  const instance = runInNode(reader, { payloads });
  await instance.start();
  await instance.send({ type: "READ", data });
  return (await instance.view()).context;
}

it("An actor reads the payload that an event refers to", async () => {
  const content = '{"price":"€ 9"}';
  const reference = referenceTo(content, "application/json");
  expect(reference).toEqual({
    $payload: expect.stringMatching(/^sha256-[0-9a-f]{64}$/),
    size: 17,
    type: "application/json",
  });
  const read_ = {
    ...{ json: { price: "€ 9" }, text: content, size: 17, attempt: 1 },
    type: "application/octet-stream",
  };
  const { $payload } = reference;
  expect(await read(reference, { [$payload]: content })).toMatchObject({
    read: read_,
    error: null,
  });
  const bytes = new TextEncoder().encode(content);
  expect(await read(reference, { [$payload.slice(7)]: bytes })).toMatchObject({ read: read_ });
});

it.each([
  ["missing", referenceTo("{}"), {}, /is not there\. Upload it to this instance first/],
  ["no reference", { document: 1 }, {}, /^{"document":1} is no payload reference/],
  ["of no hash", { ...referenceTo("{}"), $payload: "sha256-../x" }, {}, /is no payload reference/],
  ["nothing", null, {}, /is no payload reference/],
  [
    "of another size",
    { ...referenceTo("{}"), size: 3 },
    { [referenceTo("{}").$payload]: "{}" },
    /has 2 bytes, not the 3 of its reference/,
  ],
  ["altered", referenceTo("{}"), { [referenceTo("{}").$payload]: "[]" }, /doesn't match its hash/],
  ["no JSON", referenceTo("{"), { [referenceTo("{").$payload]: "{" }, /is not JSON/],
])("A payload that is %s fails the actor at the first try", async (_, data, payloads, message) => {
  const { error } = await read(data, payloads as Record<string, string>);
  expect(error).toEqual({ name: "TerminalError", message: expect.stringMatching(message) });
});

it("A payload's name that is no hash is refused", () => {
  expect(() => runInNode(reader, { payloads: { scan: "x" } })).toThrow(/no SHA-256.*referenceTo/);
});
