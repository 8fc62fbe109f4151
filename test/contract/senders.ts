import * as v from "valibot";
import { assign, enqueueActions, setup } from "xstate";
import type { EffectContext, WorkflowDefinition } from "../../src/kernel/workflow.ts";

/** Destinations that an instance has, each with a lane of its own. */
const LANES = 60;

interface Told {
  lane: number;
  n: number;
}

const said = v.array(v.strictObject({ lane: v.number(), n: v.number() }));

const senderMachine = setup({
  types: {} as { events: { type: "SAY"; data: Told[] }; emitted: Told & { type: string } },
}).createMachine({
  id: "sender",
  on: {
    SAY: {
      actions: enqueueActions(({ enqueue, event }) => {
        for (const { lane, n } of event.data) enqueue.emit({ type: `to.${lane}`, lane, n });
      }),
    },
  },
});

type Say = (told: Told & { type: string }, context: EffectContext<unknown>) => Promise<void>;

/** Says what it is told to, each lane by a route of its own. */
function sender(say: Say): WorkflowDefinition {
  const routes = Array.from({ length: LANES }, (_, lane) => [
    `lane-${lane}`,
    { types: [`to.${lane}`], deliver: say },
  ]);
  return {
    machine: senderMachine,
    events: { SAY: { schema: said } },
    effects: { routes: Object.fromEntries(routes) as Record<string, never> },
  };
}

/** By a transport of the deployment. */
export function senderBy(transport: string): WorkflowDefinition {
  return sender(({ type, lane, n }, { publish }) =>
    publish(transport, { type, data: { lane, n } }),
  );
}

/** To an instance for each lane, which is started if need be. */
export const senderToInstances = sender(async ({ lane, n }, context) => {
  const id = `${context.instance.id}-${lane}`;
  await context.start("receivers", { id });
  await context.send("receivers", id, { type: "TOLD", data: { lane, n } });
});

/** Keeps what it was told. */
export const receiver: WorkflowDefinition = {
  machine: setup({
    types: {} as { context: { got: number[] }; events: { type: "TOLD"; data: Told } },
  }).createMachine({
    id: "receiver",
    context: { got: [] },
    on: {
      TOLD: {
        actions: assign({ got: ({ context, event }) => [...context.got, event.data.n] }),
      },
    },
  }),
  events: { TOLD: { schema: v.strictObject({ lane: v.number(), n: v.number() }) } },
};
