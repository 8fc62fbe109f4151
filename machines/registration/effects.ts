import type { EffectsOf } from "durachart/workflow";
import type { DrawingCalls } from "../../services/contracts/avatars.ts";
import type { MailWanted } from "../../services/contracts/mail.ts";
import { taken, whoseOf } from "../neighbours.ts";
import type { registrationMachine } from "./machine.ts";

/** The bindings that registrations' effects use. */
interface RegistrationEnv {
  /** The avatars' entrypoint `Drawing`. */
  AVATARS?: DrawingCalls;
}

/** Nobody waits for them: each is tried for about an hour by itself. */
const inBackground = { attempts: 20, timeout: 30_000, backoff: { first: 1_000, longest: 300_000 } };

export const registrationEffects: EffectsOf<typeof registrationMachine, RegistrationEnv> = {
  actors: {
    sendWelcome: {
      ...inBackground,
      run: async ({ input: { name, email }, publish }) => {
        const data: MailWanted = { template: "welcome", to: { address: email }, values: { name } };
        await publish("mails", { type: "mail.wanted", data });
      },
    },
    drawAvatar: {
      ...inBackground,
      run: async (context) => {
        const { AVATARS } = context.env;
        if (AVATARS === undefined) {
          throw new Error("AVATARS is not bound: add the avatars' entrypoint Drawing.");
        }
        return taken(await AVATARS.draw(whoseOf(context), context.input.user));
      },
    },
    reportRegistration: {
      ...inBackground,
      run: ({ publish }) => publish("orderlog", { type: "user.registered", data: {} }),
    },
  },
  routes: {
    orderlog: ({ type, ...data }, { publish }) => publish("orderlog", { type, data }),
  },
};
