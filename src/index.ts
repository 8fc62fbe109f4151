import { defaultLimits, type Limits } from "./contract/limits.ts";
import { databasesOf } from "./contract/databases.ts";
import { log } from "./contract/log.ts";
import { Destination } from "./egress/destination.ts";
import type { Destinations } from "./egress/leave.ts";
import type { TransitionExport } from "./contract/transition.ts";
import type { Transports } from "./egress/transport.ts";
import { entrypointClass } from "./ingress/entrypoint.ts";
import { checkHooks } from "./ingress/hooks.ts";
import { Instances } from "./ingress/instances.ts";
import { bury, consume, retryDelay, toInstances, type Deliver } from "./ingress/queue.ts";
import { createRouter, type IngressEnv } from "./ingress/router.ts";
import { instanceClass } from "./instance/instance.ts";
import { checkSecretPaths } from "./instance/secret-paths.ts";
import type { Hooks } from "./kernel/hook.ts";
import { registerWorkflows } from "./kernel/registration.ts";
import type { Workflows } from "./kernel/workflow.ts";
import { clearAlerts, sendAlerts, type AlertSettings } from "./list/alerts.ts";
import { filingIn } from "./filing.ts";
import { opening, waysBackOf } from "./dead-letters/ways-back.ts";
import { fileBatch, isDeadQueue, letterOf } from "./ingress/dead-queue.ts";
import { isForTheList, takeProjections } from "./list/consumer.ts";
import { openedBody, protecting, type Protect } from "./secrets/letters.ts";
import { sweep, type Wake } from "./list/sweep.ts";
import { countLive } from "./list/live.ts";
import { tenantClass } from "./tenants/tenant.ts";
import type { TargetSettings } from "./webhooks/target.ts";
import { webhooksClass } from "./webhooks/webhooks.ts";

export { TerminalError } from "./kernel/terminal-error.ts";
export { defaultLimits };
export { Unsupported } from "./kernel/errors.ts";
export { signedContent } from "./ingress/signed-content.ts";
export {
  toQueue,
  toService,
  type Recipient,
  type Transport,
  type TransportOf,
  type Transports,
} from "./egress/transport.ts";
export { exportToQueue, exportToStream } from "./egress/export.ts";
export type { Transition, TransitionExport } from "./contract/transition.ts";
export { toWebhooks } from "./webhooks/transport.ts";
export type { Message } from "./contract/message.ts";
export type { DestinationLimit, Destinations } from "./egress/leave.ts";
export type { Caller } from "./contract/caller.ts";
export type { Limits };
export type { TenantLimits } from "./contract/tenancy.ts";
export type { Payload, PayloadReference } from "./contract/payload.ts";
export type { Problem } from "./contract/problem.ts";
export type { Listed } from "./list/search.ts";
export type { EventReply, JournalEntry, View } from "./contract/view.ts";
export type { BindingProps } from "./ingress/entrypoint.ts";
export type {
  EffectContext,
  EffectsOf,
  EventDefinitions,
  EventsOf,
  HookDefinition,
  Hooks,
  WorkflowDefinition,
  Workflows,
} from "./kernel/workflow.ts";

export interface DurachartEnv extends IngressEnv, AlertSettings, TargetSettings {
  /** The list of all instances: D1; LIST_1, LIST_2 and so on where one is not enough. */
  LIST?: D1Database;
  /** By it instances tell the list of themselves; without it there is no list. */
  LIST_QUEUE?: Queue;
  /** Takes what the queue consumer can't deliver; without it the queue's own retries decide. */
  DEAD_LETTERS?: Queue;
}

/**
 * A Worker that runs statecharts durably.
 *
 * @example
 * const app = durachart({ workflows });
 * export default app;
 * export const { Instance, Tenant, Destination, Webhooks, WorkflowsEntrypoint } = app;
 *
 * @returns the Worker's handlers; `Instance` and `Tenant`, the Durable Object classes to bind as
 *   INSTANCES and TENANTS;
 *   `Destination`, the one to bind as DESTINATIONS where there are `destinations`; `Webhooks`, the
 *   one to bind as WEBHOOKS where a transport is `toWebhooks()`; and `WorkflowsEntrypoint`, with `start`, `send` and `get` for callers by service binding
 * @throws Unsupported where a chart can't run durably, naming the state and the remedy
 */
export function durachart<const Definitions extends Workflows>(options: {
  workflows: Definitions;
  /** Limits, across all instances, of what the workflows' effects name as their `destination`. */
  destinations?: Destinations;
  /** How what the workflows publish leaves, by the names that their effects call it. */
  transports?: Transports;
  /** Where every transition of every instance is sent on to, for analytics: `exportToQueue("EXPORT")`. */
  export?: TransitionExport | ((env: never) => TransitionExport);
  /** Queues by name → their producers' bindings: where dead letters of theirs are sent again. */
  queues?: Readonly<Record<string, string>>;
  /** What others post to `/hooks/{name}`, and which events it becomes. */
  hooks?: Hooks;
  /** What an instance may take up; `{ ...defaultLimits, payloadBytes: 5_000_000 }` alters one. */
  limits?: Limits;
}) {
  const workflows = registerWorkflows(options.workflows);
  checkSecretPaths(workflows);
  for (const { warnings } of workflows.values()) for (const one of warnings) log.warn(one);
  const { limits, hooks = {}, queues = {} } = options;
  checkHooks(hooks);
  const ways = (env: unknown) =>
    opening(waysBackOf(queues, env), (body) => openedBody(workflows, env, body));
  const router = createRouter(workflows, { limits, hooks, waysBack: ways });
  const deliver = (env: DurachartEnv): Deliver =>
    toInstances(workflows, new Instances(env.INSTANCES));
  return {
    /** Brings what a broker has brought to its instance, as `queue` does. */
    deliver,
    /** What is filed of a broker's dead letters goes through this first: their secrets are sealed. */
    protect: (env: DurachartEnv): Protect => protecting(workflows, env),
    fetch: (request: Request, env: DurachartEnv): Promise<Response> => router.fetch(request, env),
    queue: async (
      { queue, messages }: MessageBatch,
      env: DurachartEnv,
      context?: ExecutionContext,
    ): Promise<void> => {
      const databases = databasesOf(env);
      if (isDeadQueue(queue)) {
        await fileBatch(messages, async (some) => {
          const file = filingIn(env);
          if (file === null) throw new Error(`${queue} needs a database: bind LIST.`);
          await file(some.map((message) => protecting(workflows, env)(letterOf(queue, message))));
        });
        return;
      }
      const projections = messages.filter(({ body }) => isForTheList(body));
      const { hasIncidents } = await takeProjections(projections, {
        databases,
        retryDelay,
        bury: (message, reason) => bury(message, queue, reason, env.DEAD_LETTERS),
      });
      // The list waits for nobody; what fails here the cron does.
      if (hasIncidents) {
        context?.waitUntil(sendAlerts(databases, env, Date.now()).catch(failed));
      }
      const events = { queue, messages: messages.filter(({ body }) => !isForTheList(body)) };
      await consume(events, env.DEAD_LETTERS, deliver(env), protecting(workflows, env));
    },
    /** By cron: wakes instances whose due time passed, and sends the alerts that were not sent. */
    scheduled: async (_: ScheduledController, env: DurachartEnv): Promise<void> => {
      const databases = databasesOf(env);
      const instances = new Instances(env.INSTANCES);
      const wake: Wake = (object, jurisdiction) => instances.wake(object, jurisdiction);
      const now = Date.now();
      const results = await Promise.allSettled([
        sweep(databases, wake, now),
        sendAlerts(databases, env, now).then(() => clearAlerts(databases, now)),
      ]);
      for (const result of results) if (result.status === "rejected") failed(result.reason);
    },
    Instance: instanceClass(workflows, options),
    Destination,
    Webhooks: webhooksClass(filingIn),
    WorkflowsEntrypoint: entrypointClass<Definitions>(workflows, limits ?? defaultLimits),
    Tenant: tenantClass(countLive),
  };
}

function failed(error: unknown): void {
  log.error("What the Worker does beside failed", { error });
}
