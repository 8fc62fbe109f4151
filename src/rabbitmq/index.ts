export { brokerClass, consuming, type BrokerOptions, type Consumed } from "./broker.ts";
export type { RabbitSettings } from "./pool.ts";
export { topologyOf, type Topology } from "./topology.ts";
export { overRabbitMQ } from "./transport.ts";
