import { orderEffects } from "../../machines/order/effects.ts";
import { orderEvents, orderInput } from "../../machines/order/events.ts";
import { orderMachine } from "../../machines/order/machine.ts";
import { durachart } from "../../src/index.ts";
import { cancellable } from "./cancellable.ts";
import { crowd } from "./crowd.ts";
import { endless } from "./endless.ts";
import { family } from "./family.ts";
import { echo, helper, parent, spinner } from "./instances.ts";
import { limits } from "./limits.ts";
import { lanes } from "./lanes.ts";
import { mailbox } from "./mailbox.ts";
import { probe, turnstile } from "./probe.ts";

/** The Worker under test in workerd: the shop's order, and a chart with one of everything. */
const app = durachart({
  workflows: {
    orders: {
      machine: orderMachine,
      events: orderEvents,
      input: orderInput,
      effects: orderEffects,
    },
    probes: probe,
    turnstiles: turnstile,
    mailboxes: mailbox,
    lanes,
    endless,
    families: family,
    parents: parent,
    helpers: helper,
    echoes: echo,
    spinners: spinner,
    crowds: crowd,
    cancellables: cancellable,
  },
  limits,
  destinations: {
    press: { atOnce: 2 },
    gate: { atOnce: 1 },
    meter: { perMinute: 60 },
    letterbox: { perMinute: 1 },
  },
});

export default app;
export const { Instance, Destination, WorkflowsEntrypoint } = app;
