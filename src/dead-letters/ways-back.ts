import { brokerOf } from "../contract/rabbitmq.ts";
import { realmOfOwn } from "../contract/realm.ts";
import { webhooksOf } from "../contract/webhooks.ts";
import type { Letter } from "./letters.ts";
import type { WaysBack } from "./redrive.ts";

/** To queues by the bindings of their producers, to RabbitMQ, and to webhooks' endpoints. */
export function waysBackOf(queues: Readonly<Record<string, string>>, env: unknown): WaysBack {
  return {
    queue: (name) => {
      const binding = Object.hasOwn(queues, name) ? queues[name]! : undefined;
      const queue = binding && (env as Record<string, Queue | undefined>)[binding];
      if (!queue) return undefined;
      return {
        sendAgain: async ({ body }) => {
          const { unreadable } = (body ?? {}) as { unreadable?: unknown };
          if (typeof unreadable === "string")
            throw new Error(`it was not kept whole: ${unreadable}`);
          await queue.send(body, { contentType: "json" });
        },
      };
    },
    rabbitmq: (name) => {
      const broker = brokerOf(env);
      if (broker === undefined) return undefined;
      return { sendAgain: ({ body }) => broker.sendAgain(name, JSON.stringify(body)) };
    },
    webhook: (endpoint) => ({
      sendAgain: async (letter) => {
        const { webhooks, scope, delivery } = placeOf(env, letter);
        const reply = await webhooks.retry(scope, delivery, endpoint);
        if (!reply.ok) throw new Error(reply.problem.detail);
        if (reply.value.status === "discarded") throw new Error("the delivery was discarded");
      },
      discard: async (letter) => {
        const { webhooks, scope, delivery } = placeOf(env, letter);
        const reply = await webhooks.discard(scope, delivery, endpoint);
        // What isn't there any more, its endpoint perhaps, is as good as discarded.
        if (!reply.ok && reply.problem.status !== 404) throw new Error(reply.problem.detail);
      },
    }),
  };
}

/** Ways that letters take as they came. @param open as `openedBody` does */
export function opening(ways: WaysBack, open: (body: unknown) => unknown): WaysBack {
  return Object.fromEntries(
    Object.entries(ways).map(([kind, wayTo]) => [
      kind,
      (name: string) => {
        const way = wayTo(name);
        if (way === undefined) return undefined;
        const sendAgain = async (letter: Letter): Promise<void> =>
          way.sendAgain({ ...letter, body: open(letter.body) });
        return { ...way, sendAgain };
      },
    ]),
  );
}

/** @throws Error where webhooks are not bound */
function placeOf(env: unknown, { whose, message }: Letter) {
  const scope = realmOfOwn(whose);
  const webhooks = webhooksOf(env, scope);
  if (webhooks === undefined) throw new Error("the object class Webhooks is not bound as WEBHOOKS");
  const [delivery = ""] = message.split(" ");
  return { webhooks, scope, delivery };
}
