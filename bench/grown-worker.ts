import { assign, enqueueActions, raise, setup } from "xstate";
import { defaultLimits, durachart } from "../src/index.ts";

const HOUR = 3_600_000;

/** A chart whose instances grow old: many events, many timers. */
const machine = setup({
  types: {} as {
    context: { count: number };
    events: { type: "COUNT" } | { type: "LATER" } | { type: "SET_TIMERS"; data: { count: number } };
  },
}).createMachine({
  id: "grown",
  context: { count: 0 },
  on: {
    COUNT: { actions: assign({ count: ({ context }) => context.count + 1 }) },
    LATER: {},
    SET_TIMERS: {
      actions: enqueueActions(({ enqueue, event }) => {
        for (let timer = 0; timer < event.data.count; timer++) {
          enqueue(raise({ type: "LATER" }, { id: `t${timer}`, delay: HOUR + timer }) as never);
        }
      }),
    },
  },
});

// What is measured is the instance, not how soon its tenant is stopped.
const tenants = { ...defaultLimits.tenants, requestsPerMinute: 1e9, eventsPerMinute: 1e9 };
const app = durachart({
  workflows: { grown: machine },
  limits: { ...defaultLimits, tenants },
});

export default { fetch: app.fetch };
export const { Instance, Tenant, Destination } = app;
