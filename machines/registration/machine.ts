import { assign, emit, fromPromise, setup } from "xstate";
import type { RegistrationInput } from "./events.ts";

/** What is done for a new user beside her account. */
type Task = "welcome" | "avatar" | "analytics";

interface RegistrationContext {
  user: string;
  name: string;
  email: string | null;
  /** Where the gateway has her picture. */
  avatar: string | null;
  /** What was given up; the account is usable all the same. */
  failed: Task[];
}

type RegistrationMessage = {
  type: "registration.completed" | "registration.incomplete";
  failed: Task[];
};

const announce = (type: RegistrationMessage["type"]) =>
  emit<RegistrationContext, { type: string }, undefined, { type: string }, RegistrationMessage>(
    ({ context: { failed } }) => ({ type, failed }),
  );

/** The chart only names what reaches the world; `effects.ts` says how. */
const reachesTheWorld = <Output, Input>(name: string) =>
  fromPromise<Output, Input>(() => Promise.reject(new Error(`${name} is provided by effects.ts`)));

/**
 * What follows when somebody has registered. The account is there already, and stays usable whatever
 * becomes of this.
 */
export const registrationMachine = setup({
  types: {} as {
    context: RegistrationContext;
    events: { type: string };
    input: RegistrationInput;
    emitted: RegistrationMessage;
    output: { avatar: string | null; failed: Task[] };
    meta: { message: string };
  },
  actors: {
    sendWelcome: reachesTheWorld<void, { name: string; email: string }>("sendWelcome"),
    drawAvatar: reachesTheWorld<{ path: string }, { user: string }>("drawAvatar"),
    reportRegistration: reachesTheWorld<void, { user: string }>("reportRegistration"),
  },
  guards: {
    hasAddress: ({ context }) => context.email !== null,
    nothingFailed: ({ context }) => context.failed.length === 0,
  },
  actions: {
    noteAvatar: assign((_, { path }: { path: string }) => ({ avatar: path })),
    noteFailed: assign(({ context }, { task }: { task: Task }) => ({
      failed: [...context.failed, task],
    })),
    announceCompleted: announce("registration.completed"),
    announceIncomplete: announce("registration.incomplete"),
  },
}).createMachine({
  id: "registration",
  version: "1",
  context: ({ input }) => ({
    user: input.user,
    name: input.name,
    email: input.email ?? null,
    avatar: null,
    failed: [],
  }),
  initial: "settingUp",
  states: {
    settingUp: {
      meta: { message: "Your account works already; the rest is on its way." },
      type: "parallel",
      states: {
        welcome: {
          initial: "addressing",
          states: {
            addressing: {
              always: [{ guard: "hasAddress", target: "writing" }, { target: "noAddress" }],
            },
            writing: {
              meta: { message: "We are writing you a mail." },
              invoke: {
                id: "sendWelcome",
                src: "sendWelcome",
                input: ({ context: { name, email } }) => ({ name, email: email! }),
                onDone: "written",
                onError: {
                  target: "givenUp",
                  actions: { type: "noteFailed", params: { task: "welcome" } },
                },
              },
            },
            written: { type: "final", meta: { message: "A mail is on its way to you." } },
            noAddress: { type: "final", meta: { message: "We don't know where to write to you." } },
            givenUp: { type: "final", meta: { message: "We could not write you a mail." } },
          },
        },
        avatar: {
          initial: "drawing",
          states: {
            drawing: {
              meta: { message: "We are drawing your picture." },
              invoke: {
                id: "drawAvatar",
                src: "drawAvatar",
                input: ({ context: { user } }) => ({ user }),
                onDone: {
                  target: "drawn",
                  actions: { type: "noteAvatar", params: ({ event }) => event.output },
                },
                onError: {
                  target: "givenUp",
                  actions: { type: "noteFailed", params: { task: "avatar" } },
                },
              },
            },
            drawn: { type: "final", meta: { message: "Your picture is drawn." } },
            givenUp: { type: "final", meta: { message: "We could not draw your picture." } },
          },
        },
        analytics: {
          initial: "reporting",
          states: {
            reporting: {
              meta: { message: "We are counting you in." },
              invoke: {
                id: "reportRegistration",
                src: "reportRegistration",
                input: ({ context: { user } }) => ({ user }),
                onDone: "reported",
                onError: {
                  target: "givenUp",
                  actions: { type: "noteFailed", params: { task: "analytics" } },
                },
              },
            },
            reported: { type: "final", meta: { message: "You were counted in." } },
            givenUp: { type: "final", meta: { message: "We could not count you in." } },
          },
        },
      },
      onDone: [{ guard: "nothingFailed", target: "complete" }, { target: "incomplete" }],
    },
    complete: {
      meta: { message: "Welcome!" },
      type: "final",
      entry: "announceCompleted",
    },
    incomplete: {
      meta: { message: "Welcome! Something is missing, but your account works." },
      type: "final",
      entry: "announceIncomplete",
    },
  },
  output: ({ context: { avatar, failed } }) => ({ avatar, failed }),
});
