import { topologyOf } from "./rabbitmq/topology.ts";

/** What the shop has in RabbitMQ, where it goes over RabbitMQ. */
export const topology = topologyOf(["kitchen", "delivery", "durachart-events"]);
