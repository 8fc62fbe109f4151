import * as v from "valibot";
import { assign, emit, fromPromise, setup } from "xstate";
import { TerminalError } from "../../src/kernel/terminal-error.ts";
import type { EffectContext, WorkflowDefinition } from "../../src/kernel/workflow.ts";

interface CardEvent {
  type: "PAY" | "TOKEN";
  data?: { card?: { number: string; holder: string }; token?: string; how?: string };
}

/** How the card reader is to behave: an event says so. */
const readers: Record<string, (number: string) => unknown> = {
  charges: (number) => ({ last4: number.slice(-4) }),
  fails: (number) => {
    throw new TerminalError(`The card ${number} was declined (${encodeURIComponent(number)})`);
  },
  answers: (number) => ({ echo: number }),
  encodes: (number) => ({ echo: Buffer.from(number).toString("base64") }),
};

const machine = setup({
  types: {} as {
    context: { card: string; how: string; result: unknown };
    events: CardEvent;
    emitted: { type: "card.noted"; card: string };
  },
  actors: {
    charge: fromPromise<unknown, { card: string; how: string }>(() => Promise.resolve(null)),
  },
  actions: {
    note: assign({
      card: ({ event }) => event.data?.card?.number ?? event.data?.token ?? "",
      how: ({ event }) => event.data?.how ?? "charges",
    }),
    tell: emit(({ context }) => ({ type: "card.noted" as const, card: context.card })),
    keep: assign({
      result: ({ event }) => ("output" in event ? event.output : "error" in event && event.error),
    }),
  },
}).createMachine({
  id: "cards",
  context: { card: "", how: "", result: null },
  initial: "waiting",
  states: {
    waiting: {
      on: { PAY: { target: "charging", actions: ["note", "tell"] }, TOKEN: { actions: "note" } },
    },
    charging: {
      invoke: {
        src: "charge",
        input: ({ context: { card, how } }) => ({ card, how }),
        onDone: { target: "done", actions: "keep" },
        onError: { target: "done", actions: "keep" },
      },
    },
    done: { on: { PAY: { target: "charging", actions: ["note", "tell"] } } },
  },
});

const card = v.strictObject({
  number: v.pipe(v.string(), v.regex(/^[A-Za-z0-9 -]{12,60}$/)),
  holder: v.string(),
});

type Charging = EffectContext<unknown> & { input: { card: string; how: string } };

/** Takes a card's number, and lets one actor see it. */
export const cards: WorkflowDefinition = {
  machine,
  events: {
    PAY: {
      schema: v.strictObject({ card, how: v.optional(v.string()) }),
      from: ["customer", "service", "provider"],
      otherwise: "defer",
      secrets: ["card.number"],
    },
    TOKEN: {
      schema: v.strictObject({ token: v.pipe(v.string(), v.minLength(4)) }),
      from: ["customer", "service"],
      secrets: ["token"],
    },
  },
  access: {
    customer: { start: true, sees: "everything" },
    service: { instances: "all" },
    provider: { instances: "all" },
  },
  attributes: (context: { card: string }) => ({ card: context.card.slice(0, 200) }),
  effects: {
    actors: {
      charge: {
        secrets: ["PAY.card.number"],
        run: ({ input, secret }: Charging) =>
          Promise.resolve(input).then(({ card: handle, how }) => readers[how]!(secret(handle))),
      },
    },
    routes: { log: () => Promise.resolve() },
  },
};
