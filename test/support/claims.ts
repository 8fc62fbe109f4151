import * as v from "valibot";
import { assertEvent, assign, fromPromise, setup } from "xstate";
import type { EventDefinitions, EventsOf, WorkflowDefinition } from "../../src/kernel/workflow.ts";

const nothing = v.optional(v.strictObject({}), {});

const events = {
  AMEND: { schema: v.strictObject({ amount: v.number() }), from: ["claimant"] },
  WITHDRAW: {
    schema: nothing,
    from: [{ role: "claimant", when: ({ context }) => context["isLocked"] !== true }],
  },
  HAND_OVER: { schema: v.strictObject({ to: v.string() }), from: ["claimant"] },
  BLURT: { schema: nothing, from: ["claimant"] },
  ASSESS: { schema: nothing, from: ["claimant", "adjuster"] },
  NOTE: {
    schema: v.strictObject({ text: v.string(), lock: v.optional(v.boolean()) }),
    from: ["adjuster"],
  },
  APPROVE: {
    schema: nothing,
    from: [
      {
        role: "adjuster",
        when: ({ context, owner }, { subject }) =>
          owner !== subject && (context["amount"] as number) <= 1_000,
      },
    ],
  },
  ASK: {
    schema: nothing,
    from: [
      {
        role: "claimant",
        when: () => {
          throw new Error("this rule is broken");
        },
      },
    ],
  },
} as const satisfies EventDefinitions;

interface ClaimContext {
  claimant: string;
  amount: number;
  /** What the insurer thinks of it: not for the claimant. */
  notes: string[];
  isLocked: boolean;
}

/** A claim has two sides, and only one of them may read the notes. */
export const claim: WorkflowDefinition = {
  machine: setup({
    types: {} as {
      context: ClaimContext;
      events: EventsOf<typeof events>;
      input: { claimant: string; amount: number; notes?: string[] };
    },
    actors: { assess: fromPromise<unknown, { notes: string[] }>(() => Promise.resolve()) },
    actions: {
      blurt: assign(({ context }) => {
        throw new Error(`what it thinks is ${context.notes.join()}`);
      }),
    },
  }).createMachine({
    id: "claim",
    context: ({ input }) => ({ notes: [], isLocked: false, ...input }),
    initial: "open",
    output: ({ context }) => ({ amount: context.amount, notes: context.notes }),
    on: {
      AMEND: { actions: assign({ amount: ({ event }) => event.data.amount }) },
      NOTE: {
        actions: assign({
          notes: ({ context, event }) => [...context.notes, event.data.text],
          isLocked: ({ event }) => event.data.lock ?? false,
        }),
      },
      HAND_OVER: { actions: assign({ claimant: ({ event }) => event.data.to }) },
      BLURT: { actions: "blurt" },
      ASK: { actions: assign({ amount: 0 }) },
      WITHDRAW: ".withdrawn",
    },
    states: {
      open: { on: { APPROVE: "approved", ASSESS: "assessing" } },
      assessing: {
        invoke: {
          src: "assess",
          input: ({ context }) => ({ notes: context.notes }),
          onDone: "open",
          onError: {
            target: "open",
            actions: assign({
              notes: ({ context, event }) => {
                assertEvent(event, "xstate.error.actor.0.claim.assessing" as never);
                return [...context.notes, String((event as { error: unknown }).error)];
              },
            }),
          },
        },
      },
      approved: { type: "final" },
      withdrawn: { type: "final" },
    },
  }),
  events,
  input: v.object({
    claimant: v.string(),
    amount: v.number(),
    notes: v.optional(v.array(v.string())),
  }),
  effects: {
    actors: {
      assess: {
        attempts: 3,
        backoff: { first: 3_600_000 },
        run: ({ input }) => {
          throw new Error(`could not assess ${(input as { notes: string[] }).notes.join()}`);
        },
      },
    },
  },
  owner: ({ context }: { context: ClaimContext }) => context.claimant,
  attributes: ({ amount, notes }: ClaimContext) => ({ amount, notes: notes.join() }),
  access: {
    claimant: {
      start: ({ input, caller }) => (input as ClaimContext).claimant === caller.subject,
      sees: ["claimant", "amount"],
    },
    adjuster: { instances: "all", sees: ["amount", "notes"] },
    auditor: { instances: "all", sees: "everything" },
  },
};
