import * as v from "valibot";
import { assign, emit, enqueueActions, fromPromise, setup } from "xstate";
import { TerminalError } from "../../src/kernel/terminal-error.ts";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";

interface Said {
  text: string;
}

const inner = setup({
  types: {} as { context: Said; input: Said },
}).createMachine({ id: "inner", context: ({ input }) => input });

const promise = fromPromise<unknown, Said>(() => Promise.resolve());

/** Keeps what it is told wherever an instance can keep anything. */
const canaryMachine = setup({
  types: {} as {
    context: Said & { heard: unknown };
    input: Said;
    events:
      | { type: "SAY" | "REMIND" | "NEVER" | "TELL" | "FAIL_TO_TELL"; data: Said }
      | { type: "WORK" | "FAIL"; data: Said }
      | { type: "END" };
    emitted: Said & { type: "canary.said" };
    output: Said;
  },
  actors: { inner, work: promise, fail: promise },
  actions: {
    hear: assign(({ event }) => ("data" in event ? { text: event.data.text } : {})),
    keep: assign({ heard: ({ event }) => event }),
    tell: (_, _said: Said) => {},
    failToTell: (_, _said: Said) => {},
  },
}).createMachine({
  id: "canary",
  context: ({ input }) => ({ ...input, heard: null }),
  output: ({ context: { text } }) => ({ text }),
  invoke: { id: "inner", src: "inner", input: ({ context: { text } }) => ({ text }) },
  initial: "idle",
  on: {
    SAY: { actions: "hear" },
    // Each a timer of its own: more than fit the state's row.
    REMIND: {
      actions: enqueueActions(({ enqueue, event: { data } }) =>
        enqueue.raise({ type: "SAY", data }, { delay: 3_600_000, id: data.text }),
      ),
    },
    TELL: {
      actions: [
        { type: "tell", params: ({ event }) => event.data },
        emit(({ event }) => ({ type: "canary.said" as const, ...event.data })),
      ],
    },
    FAIL_TO_TELL: { actions: { type: "failToTell", params: ({ event }) => event.data } },
    END: ".ended",
  },
  states: {
    idle: { on: { WORK: "working", FAIL: "failing" } },
    working: {
      invoke: {
        src: "work",
        input: ({ event }) => (event as { data: Said }).data,
        onDone: { target: "idle", actions: "keep" },
      },
    },
    failing: {
      invoke: {
        src: "fail",
        input: ({ event }) => (event as { data: Said }).data,
        onError: { target: "idle", actions: "keep" },
      },
    },
    // It never gets there, so that NEVER waits.
    never: { on: { NEVER: "idle" } },
    ended: { type: "final" },
  },
});

const said = v.object({ text: v.string() });
const from = ["service"];

export const canary: WorkflowDefinition = {
  machine: canaryMachine,
  input: said,
  attributes: ({ text }: Said) => ({ text }),
  access: {
    customer: { start: true, instances: "all", sees: "everything" },
    service: { instances: "all" },
    guest: { instances: "all", sees: "everything" },
  },
  events: {
    ...{ SAY: { schema: said, from }, REMIND: { schema: said, from } },
    ...{ TELL: { schema: said, from }, FAIL_TO_TELL: { schema: said, from } },
    ...{ WORK: { schema: said, from }, FAIL: { schema: said, from } },
    NEVER: { schema: said, from, otherwise: "defer" },
    END: { schema: v.optional(v.any()), from },
  },
  effects: {
    actors: {
      work: { run: ({ input }) => Promise.resolve({ done: (input as Said).text }) },
      fail: { run: ({ input }) => Promise.reject(new TerminalError((input as Said).text)) },
    },
    actions: {
      tell: () => Promise.resolve(),
      failToTell: (params) => Promise.reject(new TerminalError((params as Said).text)),
    },
    routes: { world: () => Promise.resolve() },
  },
};

type Post = (path: string, body: unknown, key?: string) => Promise<unknown>;

/**
 * Tells an instance a text in every way there is, and brings it to its end.
 *
 * @param post a request of an operator's, to the instance's own address
 */
export async function sing(post: Post, text: string): Promise<void> {
  let sung = 0;
  const say = (type: string, as = text): Promise<unknown> =>
    post("/events", { type, data: { text: as } }, `${text}-${(sung += 1)}`);
  for (const type of ["SAY", "NEVER", "TELL", "FAIL_TO_TELL", "WORK"]) await say(type);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await say("FAIL");
  await new Promise((resolve) => setTimeout(resolve, 300));
  for (let timer = 0; timer < 40; timer++) await say("REMIND", `${text}-${timer}`);
  // So many that the whole state is kept beside the journal.
  for (let entry = 0; entry < 60; entry++) await say("SAY", `${text} ${"x".repeat(entry)}`);
  await post("/pause", { reason: text });
  await say("SAY");
  await say("NEVER");
  await post("/resume", { reason: text });
  await post("/pause", { reason: text });
  await say("SAY");
  await post("/terminate", { reason: text });
}
