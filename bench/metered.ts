import { workflows } from "../machines/index.ts";
import { orderV1 } from "../machines/order/v1/index.ts";
import type { StockCalls } from "../services/contracts/catalog.ts";
import { defaultLimits, durachart, type DurachartEnv } from "../src/index.ts";
import { transports } from "../src/transports.ts";
import { attachMeter, type Meter } from "./meter.ts";

// There is no object for webhooks here either: what it costs an instance is what a queue costs it.
const app = durachart({
  // Events are counted on the orders that have no neighbours; `shop` is the orders as they are.
  workflows: { ...workflows, orders: orderV1, shop: workflows.orders },
  transports: { ...transports, webhooks: transports.orderlog },
  // The measure is of what events cost, not of how soon a tenant is stopped.
  limits: {
    ...defaultLimits,
    tenants: { ...defaultLimits.tenants, requestsPerMinute: 1e9, eventsPerMinute: 1e9 },
  },
});
export const { Tenant } = app;

/** The runtime alone has no queues, and they are no part of the count: these take what they are given. */
const queue = { send: () => Promise.resolve() };
const queues = {
  ...{ KITCHEN_QUEUE: queue, DELIVERY_QUEUE: queue, ORDERLOG_QUEUE: queue, MAILS_QUEUE: queue },
};
/** A catalog that has everything. */
const catalog: StockCalls = {
  look: async (_, ids) => ({
    ok: true,
    value: ids.map((id) => ({
      ...{ id, name: id, description: "", price: { amount: 1_190, currency: "EUR" } },
      ...{ picture: null, available: true },
    })),
  }),
  reserve: async () => ({ ok: true, value: { reserved: true } }),
  keep: async () => ({ ok: true, value: { kept: true } }),
  release: async () => ({ ok: true, value: null }),
  confirm: async () => ({ ok: true, value: null }),
};

export interface MeterReading extends Meter {
  databaseBytes: number;
}

/** The instance, with every write counted from outside: the product knows nothing of it. */
export class Instance extends app.Instance {
  readonly #meter: () => Meter;

  constructor(context: DurableObjectState, env: unknown) {
    const meter = attachMeter(context.storage);
    super(context, { ...(env as object), ...queues, CATALOG: catalog });
    this.#meter = meter;
  }

  readMeter(): MeterReading {
    return { ...this.#meter(), databaseBytes: this.ctx.storage.sql.databaseSize };
  }
}

const METER = "/meter/";

interface Env extends DurachartEnv {
  INSTANCES: DurableObjectNamespace;
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (!pathname.startsWith(METER)) return app.fetch(request, env);
    const stub = env.INSTANCES.getByName(decodeURIComponent(pathname.slice(METER.length)));
    return Response.json(
      await (stub as unknown as { readMeter(): Promise<MeterReading> }).readMeter(),
    );
  },
};
