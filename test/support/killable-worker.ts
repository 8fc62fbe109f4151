import { workflows } from "../../machines/index.ts";
import { orderV1 } from "../../machines/order/v1/index.ts";
import { durachart } from "../../src/index.ts";
import { transports } from "../../src/transports.ts";

/** The product with the orders of before the catalog: nobody is around here. */
const app = durachart({ workflows: { ...workflows, orders: orderV1 }, transports });

export default app;
export const { Instance, Tenant, Destination, Webhooks } = app;
