import * as v from "valibot";
import { assign, setup } from "xstate";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { world } from "./probe.ts";

interface Letter {
  type: "LETTER" | "PARCEL" | "NOTE";
  data: { n: number };
}

/** Takes letters only while it is open: what comes before is deferred. */
const mailboxMachine = setup({
  types: {} as {
    context: { got: number[]; spoilt: unknown };
    events:
      | Letter
      | { type: "OPEN" | "TAKE_ONE" | "CLOSE" | "BOMB" | "SPOIL" | "LAST" | "BREAK" | "DOZE" };
  },
  delays: { doze: 30_000 },
  actions: {
    keep: assign({
      got: ({ context, event }) => ("data" in event ? [...context.got, event.data.n] : context.got),
    }),
    explode: assign(() => {
      if (world.guard()) throw new Error("the bomb went off");
      return {};
    }),
    spoil: assign({ spoilt: () => (world.guard() ? new Date(0) : "well") }),
  },
}).createMachine({
  id: "mailbox",
  context: { got: [], spoilt: null },
  initial: "closed",
  on: { BREAK: ".broken" },
  states: {
    closed: { on: { OPEN: "open", TAKE_ONE: "taking", DOZE: "dozing" } },
    taking: { on: { LETTER: { target: "closed", actions: "keep" }, PARCEL: "closed" } },
    open: {
      on: {
        LETTER: { actions: "keep" },
        PARCEL: { actions: "keep" },
        NOTE: { actions: "keep" },
        BOMB: { actions: "explode" },
        SPOIL: { actions: "spoil" },
        LAST: "full",
        CLOSE: "closed",
      },
    },
    dozing: { after: { doze: "open" } },
    full: { type: "final" },
    broken: { type: "final" },
  },
});

const numbered = v.object({ n: v.number() });
const nothing = v.optional(v.any());
const from = ["service"];

export const mailbox: WorkflowDefinition = {
  machine: mailboxMachine,
  access: {
    customer: { start: true, instances: "all", sees: "everything" },
    service: { instances: "all" },
    guest: { instances: "all", sees: "everything" },
  },
  events: {
    LETTER: { schema: numbered, from, otherwise: "defer", deferFor: 60_000 },
    /** What becomes of it is left to how it comes. */
    PARCEL: { schema: numbered, from },
    NOTE: { schema: numbered, from, otherwise: "reject" },
    BOMB: { schema: nothing, from, otherwise: "defer" },
    SPOIL: { schema: nothing, from, otherwise: "defer" },
    LAST: { schema: nothing, from, otherwise: "defer" },
    OPEN: { schema: nothing, from },
    TAKE_ONE: { schema: nothing, from },
    CLOSE: { schema: nothing, from },
    DOZE: { schema: nothing, from },
    BREAK: { schema: nothing, from },
  },
};
