import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

transportContract({
  name: "RabbitMQ over AMQP",
  workflow: "by-rabbitmq",
  order: {
    isKept: true,
    because: "an instance's go by one member of the pool, confirmed one by one",
  },
  outbox: instanceOutbox,
  origin: /^instance:by-rabbitmq\//,
  sixteen: "of an instance",
});
