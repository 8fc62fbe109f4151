import { workflows } from "../machines/index.ts";
import { shopBroker } from "./broker.ts";
import { durachart } from "./index.ts";
import { consuming } from "./rabbitmq/broker.ts";
import { transports } from "./transports.ts";

const app = durachart({ workflows, transports });

export default consuming(app);
export const { Instance, Destination, WorkflowsEntrypoint } = app;
export const Broker = shopBroker(app.deliver);
