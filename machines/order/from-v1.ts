import type { Migration } from "durachart/workflow";

/** Orders of before the catalog: their prices are on them already, and nothing was reserved for them. */
export const fromV1: Migration = {
  from: "1",
  to: "2",
  migrate: ({ value, context, children }) => ({
    value: value === "orderPizza" ? { orderPizza: "choosing" } : value,
    context: { ...context, round: 0, isConfirmed: false, mustAgree: false },
    children,
  }),
};
