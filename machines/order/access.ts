import type { ContextFrom } from "xstate";
import type { Access } from "durachart/workflow";
import type { orderMachine } from "./machine.ts";
import type { OrderInput } from "./events.ts";

/** An order is the customer's it was taken for, else who placed it. */
export function orderOwner({
  context,
  startedBy,
}: {
  context: ContextFrom<typeof orderMachine>;
  startedBy: string | null;
}): string | null {
  return context.customer ?? startedBy;
}

/** Customers see their own orders, kitchen and courier what they need of all. */
export const orderAccess: Record<string, Access> = {
  customer: {
    // Nobody orders in another's name: it would be the other's order.
    start: ({ input, caller }) => {
      const { customer } = input as NonNullable<OrderInput>;
      return customer === undefined || customer === caller.subject;
    },
    instances: "own",
    sees: ["customer", "deliverTo", "items", "total", "status", "reason"],
  },
  service: { instances: "all", sees: ["deliverTo", "items", "status", "reason"] },
  courier: { instances: "all", sees: ["deliverTo", "items", "status", "reason"] },
};
