import { assign, emit, fromPromise, raise, setup } from "xstate";
import { durachart } from "../../src/index.ts";
import type { DurachartEnv } from "../../src/index.ts";
import type { EffectContext } from "../../src/kernel/workflow.ts";
import { databaseOf, mailClass, queueOf, type MailEnv } from "./mail.ts";

export { Database } from "./mail.ts";

/** The outside world: a sink that fails, hangs and loses acknowledgements. */
interface Env extends MailEnv {
  SINK: { fetch(url: string, init: object): Promise<Response> };
}

type Event =
  | { type: "COUNT"; data: { key: string } }
  | { type: "REMIND"; data: { key: string; id: string; delay: number } }
  | { type: "REMINDED"; data: { id: string } }
  | { type: "WORK"; data: { key: string } };

async function post(path: string, body: unknown, context: EffectContext<Env>): Promise<void> {
  const { env, id, signal } = context;
  const response = await env.SINK.fetch(`http://sink${path}`, {
    method: "POST",
    body: JSON.stringify({ id, body }),
    signal,
  });
  await response.arrayBuffer();
  if (!response.ok) throw new Error(`The sink answered ${response.status}`);
}

/** Counts, tells, remembers and works: something of each that a crash could lose. */
const machine = setup({
  types: {} as { context: { counted: number; reminded: number; worked: number }; events: Event },
  actors: { work: fromPromise<void, { key: string }>(() => Promise.resolve()) },
  actions: {
    count: assign({ counted: ({ context }) => context.counted + 1 }),
    reminded: assign({ reminded: ({ context }) => context.reminded + 1 }),
    worked: assign({ worked: ({ context }) => context.worked + 1 }),
    tell: (_, _params: { key: string }) => {},
  },
}).createMachine({
  id: "chaos",
  context: { counted: 0, reminded: 0, worked: 0 },
  type: "parallel",
  on: {
    COUNT: {
      actions: [
        "count",
        { type: "tell", params: ({ event }) => ({ key: event.data.key }) },
        emit(({ event }) => ({ type: "counted", key: event.data.key })),
      ],
    },
    REMINDED: { actions: "reminded" },
  },
  states: {
    reminders: {
      initial: "ready",
      states: {
        ready: {
          on: {
            REMIND: {
              actions: raise(
                ({ event }) => ({ type: "REMINDED" as const, data: { id: event.data.id } }),
                { delay: ({ event }) => event.data.delay },
              ),
            },
          },
        },
      },
    },
    work: {
      initial: "idle",
      states: {
        idle: { on: { WORK: "working" } },
        working: {
          // Work that comes while some is under way is counted and no more.
          on: { WORK: { actions: "count" } },
          invoke: {
            src: "work",
            input: ({ event }) => ({
              key: "data" in event && "key" in event.data ? event.data.key : "",
            }),
            onDone: { target: "idle", actions: "worked" },
            onError: "idle",
          },
        },
      },
    },
  },
});

const app = durachart({
  workflows: {
    chaos: {
      machine,
      effects: {
        actors: {
          work: {
            attempts: 50,
            timeout: 1_000,
            backoff: { first: 50, longest: 400 },
            run: (context: EffectContext<Env> & { input: unknown }) =>
              post("/work", context.input, context),
          },
        },
        actions: {
          tell: {
            timeout: 1_000,
            run: (params: unknown, context: EffectContext<Env>) => post("/told", params, context),
          },
        },
        routes: {
          world: {
            timeout: 1_000,
            deliver: (event: unknown, context: EffectContext<Env>) =>
              post("/counted", event, context),
          },
        },
      },
    },
  },
});

/** The list's database and queue, as bindings. */
const withList = (env: unknown): DurachartEnv => {
  const bindings = env as MailEnv & DurachartEnv;
  return { ...bindings, LIST: databaseOf(bindings), LIST_QUEUE: queueOf(bindings) as Queue };
};

export class Instance extends app.Instance {
  constructor(context: DurableObjectState, env: MailEnv) {
    super(context, withList(env));
  }
}

export const Mail = mailClass((batch, env) => app.queue(batch, withList(env)));
export const { Destination, Tenant } = app;

export default {
  async fetch(request: Request, env: MailEnv): Promise<Response> {
    const isReport = new URL(request.url).pathname === "/mail";
    if (isReport) return Response.json(await env.MAIL.getByName("mail").report());
    return app.fetch(request, withList(env));
  },
};
