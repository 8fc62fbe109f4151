import { assign, setup } from "xstate";

export const counter = setup({
  types: {} as { context: { count: number }; events: { type: "COUNT" } },
}).createMachine({
  id: "counter",
  context: { count: 0 },
  on: { COUNT: { actions: assign({ count: ({ context }) => context.count + 1 }) } },
});
