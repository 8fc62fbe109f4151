import type { EffectsOf } from "durachart/workflow";
import type { paymentMachine } from "./machine.ts";

export const paymentEffects: EffectsOf<typeof paymentMachine, unknown> = {
  routes: {
    webhooks: ({ type, ...data }, { publish }) => publish("webhooks", { type, data }),
  },
};
