import type { ContextFrom } from "xstate";
import type { orderMachine } from "./machine.ts";

/** What orders are searched by in the list. */
export function orderAttributes({
  customer,
}: ContextFrom<typeof orderMachine>): Record<string, string> {
  return customer === null ? {} : { customer };
}
