import { toQueue, type Transports } from "./egress/transport.ts";
import { overRabbitMQ } from "./rabbitmq/transport.ts";
import { toWebhooks } from "./webhooks/transport.ts";

/** How what the shop's orders publish gets to the services around. */
export const transports = {
  kitchen: overRabbitMQ("kitchen", toQueue("KITCHEN_QUEUE")),
  delivery: overRabbitMQ("delivery", toQueue("DELIVERY_QUEUE")),
  orderlog: toQueue("ORDERLOG_QUEUE"),
  mails: toQueue("MAILS_QUEUE"),
  webhooks: toWebhooks(),
} satisfies Transports;
