import { exports, WorkerEntrypoint } from "cloudflare:workers";
import type { Envelope } from "../../src/contract/envelope.ts";
import { problem, type Problem } from "../../src/contract/problem.ts";
import type { Letter } from "../../src/contract/requests.ts";
import { durachart, toQueue, toService, toWebhooks } from "../../src/index.ts";
import type { Recipient as Receives } from "../../src/index.ts";
import { overRabbitMQ } from "../../src/rabbitmq/transport.ts";
import { otherSide, Refused, tryOf } from "./other-side.ts";
import { receiver, senderBy, senderToInstances } from "./senders.ts";

const nowhere = (): never => {
  throw new Error("RabbitMQ is not set");
};

/** The broker's HTTP API; nothing leaves the runtime, the tests stand in the place of `fetch`. */
export const API = "https://somebody:secret@broker.example/%2F";

const app = durachart({
  workflows: {
    "by-queue": senderBy("queue"),
    "by-service": senderBy("service"),
    "by-rabbitmq": senderBy("rabbitmq"),
    "by-rabbitmq-http": senderBy("rabbitmqHttp"),
    "by-webhooks": senderBy("webhooks"),
    "by-faulty-webhooks": senderBy("faultyWebhooks"),
    "to-instances": senderToInstances,
    receivers: receiver,
  },
  transports: {
    queue: toQueue("FAULTY_QUEUE"),
    service: toService("FAULTY_SERVICE"),
    rabbitmq: (env) => overRabbitMQ("kitchen", nowhere)({ ...env, RABBITMQ_URL: "amqp://broker" }),
    rabbitmqHttp: () => overRabbitMQ("kitchen", nowhere)({ RABBITMQ_HTTP_URL: API }),
    webhooks: toWebhooks(),
    faultyWebhooks: (env) => toWebhooks()({ ...env, WEBHOOKS: env["FAULTY_WEBHOOKS"] }),
  } satisfies Record<string, (env: Record<string, unknown>) => unknown> as never,
});

interface Bindings {
  KITCHEN_QUEUE: Queue;
  INSTANCES: DurableObjectNamespace;
  WEBHOOKS: DurableObjectNamespace;
}

/** Faults stand between the transports, which are the real ones, and the real bindings. */
function withFaults(env: Bindings): object {
  return {
    ...env,
    FAULTY_QUEUE: {
      send: (envelope: Envelope, options: QueueSendOptions) =>
        otherSide.pass(tryOf(envelope.event), () => env.KITCHEN_QUEUE.send(envelope, options)),
    },
    FAULTY_SERVICE: {
      deliver: async (envelope: Envelope): Promise<Problem | null> => {
        const { Recipient } = exports as unknown as { Recipient: Receives };
        try {
          return await otherSide.pass(tryOf(envelope.event), () => Recipient.deliver(envelope));
        } catch (error) {
          // A service says no by its answer; what else goes wrong breaks the call.
          if (error instanceof Refused) return problem("overloaded", error.message);
          throw error;
        }
      },
    },
    INSTANCES: faulty(env.INSTANCES, (stub) => ({
      receive: (json: string) => {
        const letter = JSON.parse(json) as Letter;
        const go = () => (stub as unknown as Receiving).receive(json);
        if (letter.kind !== "send") return go();
        const source = letter.caller.subject.replace("instance:", "");
        const { data } = letter.event as { data: unknown };
        return otherSide.pass(tryOf({ source, data }, letter.dedupe), go);
      },
    })),
    FAULTY_WEBHOOKS: faulty(env.WEBHOOKS, (stub) => ({
      receive: (scope: object, json: string) =>
        otherSide.pass(tryOf(JSON.parse(json)), () =>
          (stub as unknown as Taking).receive(scope, json),
        ),
    })),
    // What a member of the pool does with a real broker is tested in `test/rabbitmq` and in the fleet.
    BROKERS: {
      getByName: () => ({
        publish: (json: string) => {
          const { message } = JSON.parse(json) as { message: object };
          return otherSide.pass(tryOf(message), () => {});
        },
      }),
    },
  };
}

interface Receiving {
  receive(json: string): Promise<Problem | null>;
}

interface Taking {
  receive(scope: object, json: string): Promise<void>;
}

function faulty(namespace: DurableObjectNamespace, wrap: (stub: DurableObjectStub) => object) {
  return { getByName: (name: string) => wrap(namespace.getByName(name)) };
}

export class Instance extends app.Instance {
  constructor(context: DurableObjectState, env: Bindings) {
    super(context, withFaults(env));
  }
}

/** Another Worker, by RPC. */
export class Recipient extends WorkerEntrypoint {
  deliver(envelope: Envelope): null {
    if (typeof envelope.event["id"] !== "string") throw new Error("It came without its event");
    return null;
  }
}

export default app;
export const { Destination, Tenant, Webhooks } = app;
export { Broker } from "../support/worker.ts";
