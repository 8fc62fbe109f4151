import { topologyOf } from "../../src/rabbitmq/topology.ts";

/** The queue that the Worker under test takes events from, and the one that it tells of them by. */
export const consumed = "counters";
export const published = "counted";

export const testTopology = topologyOf([consumed, published]);
