import { durachart, toQueue, toService, toWebhooks, type Transports } from "../../../src/index.ts";
import { brokerClass } from "../../../src/rabbitmq/broker.ts";
import { overRabbitMQ } from "../../../src/rabbitmq/transport.ts";
import { receiver, senderBy, senderToInstances } from "../senders.ts";
import { fleetTopology, QUEUE_BY_AMQP, QUEUE_BY_HTTP } from "./names.ts";

const nowhere = (): never => {
  throw new Error("RabbitMQ is not set");
};

/** One deployment with every transport there is. */
const app = durachart({
  workflows: {
    "by-queue": senderBy("queue"),
    "by-service": senderBy("service"),
    "by-webhooks": senderBy("webhooks"),
    "by-amqp": senderBy("amqp"),
    "by-http": senderBy("http"),
    "to-instances": senderToInstances,
    receivers: receiver,
  },
  transports: {
    queue: toQueue("OUT"),
    service: toService("RECEIVER"),
    webhooks: toWebhooks(),
    amqp: overRabbitMQ(QUEUE_BY_AMQP, nowhere),
    http: (env: { API_URL: string }) =>
      overRabbitMQ(QUEUE_BY_HTTP, nowhere)({ RABBITMQ_HTTP_URL: env.API_URL }),
  } as Transports,
});

export default { fetch: app.fetch };
export const { Instance, Tenant, Webhooks } = app;
export const Broker = brokerClass({ topology: fleetTopology, consumes: [] });
