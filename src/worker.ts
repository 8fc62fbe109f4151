import { hooks, workflows } from "../machines/index.ts";
import { shopBroker } from "./broker.ts";
import { durachart } from "./index.ts";
import { limits } from "./limits.ts";
import { consuming } from "./rabbitmq/broker.ts";
import { transports } from "./transports.ts";

const app = durachart({
  workflows,
  hooks,
  transports,
  limits,
  queues: {
    "durachart-events": "EVENTS_QUEUE",
    "durachart-list": "LIST_QUEUE",
    kitchen: "KITCHEN_QUEUE",
    delivery: "DELIVERY_QUEUE",
    orderlog: "ORDERLOG_QUEUE",
    mails: "MAILS_QUEUE",
    "support-documents": "SUPPORT_DOCUMENTS_QUEUE",
  },
});

export default consuming(app);
export const { Instance, Tenant, Destination, Webhooks, WorkflowsEntrypoint } = app;
export const Broker = shopBroker(app);
