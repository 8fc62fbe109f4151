import { createMachine } from "xstate";
import { durachart, exportToQueue, type Transition } from "../../src/index.ts";

/** A Worker that exports its transitions to a queue, whose consumer brings them outside. */
const app = durachart({
  workflows: {
    turnstiles: createMachine({
      id: "turnstile",
      initial: "locked",
      states: { locked: { on: { COIN: "open" } }, open: { on: { PUSH: "locked" } } },
    }),
  },
  export: exportToQueue("TRANSITIONS"),
});

export default {
  fetch: app.fetch,
  queue: async (batch: MessageBatch<Transition>, env: { SINK: string }): Promise<void> => {
    for (const { body } of batch.messages) {
      await fetch(env.SINK, { method: "POST", body: JSON.stringify(body) });
    }
  },
};
export const { Instance, Tenant } = app;
