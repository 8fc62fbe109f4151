import type { Workflows } from "durachart/workflow";
import { orderAttributes } from "./order/attributes.ts";
import { orderEffects } from "./order/effects.ts";
import { orderEvents, orderInput } from "./order/events.ts";
import { orderMachine } from "./order/machine.ts";

/** URL segment → workflow. A bare machine will do; schemas, effects and access are added as needed. */
export const workflows = {
  orders: {
    machine: orderMachine,
    events: orderEvents,
    input: orderInput,
    effects: orderEffects,
    attributes: orderAttributes,
    cancel: "CANCEL_ORDER",
  },
} satisfies Workflows;
