import type { ReleasedVersion } from "durachart/workflow";
import { orderAccess, orderOwner } from "./access.ts";
import { orderAttributes } from "./attributes.ts";
import { orderEffects } from "./effects.ts";
import { orderEvents, orderInput } from "./events.ts";
import { orderMachine } from "./machine.ts";

/** Orders as they were before the catalog: their prices stand on a menu, and nothing is reserved. */
export const orderV1 = {
  machine: orderMachine,
  events: orderEvents,
  input: orderInput,
  effects: orderEffects,
  attributes: orderAttributes,
  access: orderAccess,
  owner: orderOwner,
  cancel: "CANCEL_ORDER",
} satisfies ReleasedVersion;
