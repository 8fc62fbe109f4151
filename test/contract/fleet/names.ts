import { topologyOf } from "../../../src/rabbitmq/topology.ts";

export const QUEUE_BY_AMQP = "contract-amqp";
export const QUEUE_BY_HTTP = "contract-http";
export const fleetTopology = topologyOf([QUEUE_BY_AMQP, QUEUE_BY_HTTP]);
