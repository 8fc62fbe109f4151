import type { Hooks, Workflows } from "durachart/workflow";
import { orderAccess, orderOwner } from "./order/access.ts";
import { orderAttributes } from "./order/attributes.ts";
import { orderEffects } from "./order/effects.ts";
import { orderEvents, orderInput } from "./order/events.ts";
import { fromV1 } from "./order/from-v1.ts";
import { orderMachine } from "./order/machine.ts";
import { orderV1 } from "./order/v1/index.ts";
import { paymentAccess } from "./payment/access.ts";
import { paymentEffects } from "./payment/effects.ts";
import { paymentEvents, paymentInput } from "./payment/events.ts";
import { paymentHook } from "./payment/hook.ts";
import { paymentMachine } from "./payment/machine.ts";
import { registrationAccess, registrationOwner } from "./registration/access.ts";
import { registrationEffects } from "./registration/effects.ts";
import { registrationInput } from "./registration/events.ts";
import { registrationMachine } from "./registration/machine.ts";

/** URL segment → workflow. A bare machine will do; schemas, effects and access are added as needed. */
export const workflows = {
  orders: {
    machine: orderMachine,
    events: orderEvents,
    input: orderInput,
    effects: orderEffects,
    attributes: orderAttributes,
    access: orderAccess,
    owner: orderOwner,
    cancel: "CANCEL_ORDER",
    versions: [orderV1],
    migrations: [fromV1],
  },
  payments: {
    machine: paymentMachine,
    events: paymentEvents,
    input: paymentInput,
    effects: paymentEffects,
    access: paymentAccess,
  },
  registrations: {
    machine: registrationMachine,
    input: registrationInput,
    effects: registrationEffects,
    access: registrationAccess,
    owner: registrationOwner,
  },
} satisfies Workflows;

/** What others post to `/hooks/{name}`, and what it means here. */
export const hooks = { payments: paymentHook } satisfies Hooks;
