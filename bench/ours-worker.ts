import { workflows } from "../machines/index.ts";
import { orderV1 } from "../machines/order/v1/index.ts";
import { durachart } from "../src/index.ts";
import { transports } from "../src/transports.ts";

/** The product with the orders that have no neighbours: what is measured is an event, not a catalog. */
const app = durachart({ workflows: { ...workflows, orders: orderV1 }, transports });

export default app;
export const { Instance, Tenant } = app;
