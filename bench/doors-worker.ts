import { orderV1 } from "../machines/order/v1/index.ts";
import { continueTrace } from "../src/contract/trace.ts";
import { defaultLimits, durachart, type DurachartEnv } from "../src/index.ts";
import { send } from "../src/ingress/events.ts";
import { Instances } from "../src/ingress/instances.ts";
import { authenticate } from "../src/ingress/token.ts";
import { registerWorkflows } from "../src/kernel/registration.ts";
import { Allowances } from "../src/tenants/allowances.ts";
import type { Caller } from "../src/index.ts";

/** What has no neighbours: only the event is measured. */
const workflows = { orders: orderV1 };
const limits = {
  ...defaultLimits,
  tenants: { ...defaultLimits.tenants, requestsPerMinute: 1e9, eventsPerMinute: 1e9 },
};
const app = durachart({ workflows, limits });
const registered = registerWorkflows(workflows);

export const { Instance, Tenant } = app;

/** As the tokens of the benchmark say. */
const known: Caller = { tenant: "tropical", subject: "bench", roles: ["operator"] };

/**
 * The same way for an event through two doors, of which one looks at nothing: what lies between is what looking
 * costs. No Worker that is deployed has the other door.
 */
export default {
  async fetch(request: Request, env: DurachartEnv): Promise<Response> {
    const [, door, workflow = "", id = "", rest] = new URL(request.url).pathname.split("/");
    if (rest !== "events") return app.fetch(request, env);
    const caller = door === "open" ? known : await authenticate(request, env);
    await new Allowances(env, limits).take(caller.tenant, "requests", 1);
    return send({
      ...{ request, caller, id, type: "", seq: "", env, trace: continueTrace(null) },
      workflow: registered.get(workflow)!,
      instances: new Instances(env.INSTANCES),
    });
  },
};
