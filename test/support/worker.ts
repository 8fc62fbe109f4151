import { secretsKeys } from "./secrets-keys.ts";
import { hooks, workflows } from "../../machines/index.ts";
import { orderV1 } from "../../machines/order/v1/index.ts";
import type { Projection } from "../../src/contract/projection.ts";
import { shopBroker } from "../../src/broker.ts";
import { durachart } from "../../src/index.ts";
import type { Workflows } from "../../src/kernel/workflow.ts";
import { transports } from "../../src/transports.ts";
import { canary } from "./canary.ts";
import { cancellable } from "./cancellable.ts";
import { claim } from "./claims.ts";
import { crowd } from "./crowd.ts";
import { endless } from "./endless.ts";
import { family } from "./family.ts";
import { echo, helper, parent, spinner } from "./instances.ts";
import { limits } from "./limits.ts";
import { lanes } from "./lanes.ts";
import { lister } from "./lister.ts";
import { mailbox } from "./mailbox.ts";
import { fleeting, latecomer, probe, turnstile } from "./probe.ts";
import { standardHook } from "./standard-hook.ts";

const tells = { start: true, instances: "all", sees: "everything" } as const;

/** The Worker under test in workerd: the shop's order, and a chart with one of everything. */
const app = durachart({
  workflows: {
    ...workflows,
    // The orders of before the catalog: here nobody is around.
    orders: orderV1,
    claims: claim,
    ...openToAll({
      probes: probe,
      turnstiles: turnstile,
      fleeting,
      latecomers: latecomer,
      canaries: canary,
      mailboxes: mailbox,
      lanes,
      endless,
      families: family,
      parents: parent,
      helpers: helper,
      echoes: echo,
      spinners: spinner,
      crowds: crowd,
      cancellables: cancellable,
    }),
  },
  hooks: { ...hooks, standard: standardHook },
  limits,
  transports,
  queues: { kitchen: "KITCHEN_QUEUE" },
  destinations: {
    press: { atOnce: 2 },
    gate: { atOnce: 1 },
    meter: { perMinute: 60 },
    letterbox: { perMinute: 1 },
  },
});

/** Who may do what is another test's question: here everybody of the tenant may look. */
function openToAll<Definitions extends Workflows>(definitions: Definitions): Definitions {
  const open = Object.entries(definitions).map(([key, entry]) => {
    const definition = "machine" in entry ? entry : { machine: entry };
    const access = { customer: tells, service: tells, guest: tells };
    return [key, { access, ...definition }];
  });
  return Object.fromEntries(open) as Definitions;
}

/**
 * Most tests count rows and look at alarms: theirs keep no list. Those in `test/list` do, and may stand
 * between the instances and the queue.
 */
class Instance extends app.Instance {
  constructor(context: DurableObjectState, env: { WITHOUT_LIST?: string; LIST_QUEUE: Queue }) {
    const LIST_QUEUE = {
      send: (body: Projection) => lister.send(body, env.LIST_QUEUE),
    };
    super(context, { ...env, LIST_QUEUE: env.WITHOUT_LIST === undefined ? LIST_QUEUE : undefined });
  }
}

/** Without the list there is nowhere to file what is parked. */
class Webhooks extends app.Webhooks {
  constructor(
    context: DurableObjectState,
    env: { WITHOUT_LIST?: string; LIST?: D1Database; SECRETS_KEYS?: string },
  ) {
    super(context, {
      ...env,
      LIST: env.WITHOUT_LIST === undefined ? env.LIST : undefined,
      get SECRETS_KEYS() {
        return secretsKeys.setting === null ? env.SECRETS_KEYS : secretsKeys.setting;
      },
    } as never);
  }
}

export default app;
export { Instance, Webhooks };
export const { Destination, Tenant, WorkflowsEntrypoint } = app;
export const Broker = shopBroker(app);
