import { defaultLimits, type Limits } from "./contract/limits.ts";
import { Destination } from "./egress/destination.ts";
import type { Destinations } from "./egress/leave.ts";
import type { Transports } from "./egress/transport.ts";
import { deliverCloudEvent } from "./ingress/deliver.ts";
import { entrypointClass } from "./ingress/entrypoint.ts";
import { Instances } from "./ingress/instances.ts";
import { bury, consume, retryDelay, type Deliver } from "./ingress/queue.ts";
import { createRouter, type IngressEnv } from "./ingress/router.ts";
import { instanceClass } from "./instance/instance.ts";
import { registerWorkflows } from "./kernel/registration.ts";
import type { Workflows } from "./kernel/workflow.ts";
import { clearAlerts, sendAlerts, type AlertSettings } from "./list/alerts.ts";
import { isForTheList, takeProjections } from "./list/consumer.ts";
import { databasesOf } from "./list/databases.ts";
import { sweep, type Wake } from "./list/sweep.ts";

export { TerminalError } from "./kernel/terminal-error.ts";
export { defaultLimits };
export { Unsupported } from "./kernel/errors.ts";
export { signedContent } from "./ingress/signed-content.ts";
export { toQueue, type Transport, type TransportOf, type Transports } from "./egress/transport.ts";
export type { Message } from "./contract/message.ts";
export type { DestinationLimit, Destinations } from "./egress/leave.ts";
export type { Caller } from "./contract/caller.ts";
export type { Limits };
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
  WorkflowDefinition,
  Workflows,
} from "./kernel/workflow.ts";

export interface DurachartEnv extends IngressEnv, AlertSettings {
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
 * export const { Instance, Destination, WorkflowsEntrypoint } = app;
 *
 * @returns the Worker's handlers; `Instance`, the Durable Object class to bind as INSTANCES;
 *   `Destination`, the one to bind as DESTINATIONS where there are `destinations`; and
 *   `WorkflowsEntrypoint`, with `start`, `send` and `get` for callers by service binding
 * @throws Unsupported where a chart can't run durably, naming the state and the remedy
 */
export function durachart<const Definitions extends Workflows>(options: {
  workflows: Definitions;
  /** Limits, across all instances, of what the workflows' effects name as their `destination`. */
  destinations?: Destinations;
  /** How what the workflows publish leaves, by the names that their effects call it. */
  transports?: Transports;
  /** What an instance may take up; `{ ...defaultLimits, payloadBytes: 5_000_000 }` alters one. */
  limits?: Limits;
}) {
  const workflows = registerWorkflows(options.workflows);
  for (const { warnings } of workflows.values()) for (const one of warnings) console.warn(one);
  const router = createRouter(workflows, options.limits);
  const deliver =
    (env: DurachartEnv): Deliver =>
    async (caller, event) => {
      const instances = new Instances(env.INSTANCES);
      const brokered = { brokered: true };
      const reply = await deliverCloudEvent(workflows, instances, caller, event, brokered);
      return reply.ok ? null : reply.problem;
    };
  return {
    /** Brings what a broker has brought to its instance, as `queue` does. */
    deliver,
    fetch: (request: Request, env: DurachartEnv): Promise<Response> => router.fetch(request, env),
    queue: async (
      { queue, messages }: MessageBatch,
      env: DurachartEnv,
      context?: ExecutionContext,
    ): Promise<void> => {
      const databases = databasesOf(env);
      const projections = messages.filter(({ body }) => isForTheList(body));
      const { hasIncidents } = await takeProjections(projections, {
        databases,
        retryDelay,
        bury: (message, reason) => bury(message, queue, reason, env.DEAD_LETTERS),
      });
      // The list waits for nobody; what fails here the cron does.
      if (hasIncidents) {
        context?.waitUntil(sendAlerts(databases, env, Date.now()).catch(console.error));
      }
      const events = { queue, messages: messages.filter(({ body }) => !isForTheList(body)) };
      await consume(events, env.DEAD_LETTERS, deliver(env));
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
      for (const result of results) if (result.status === "rejected") console.error(result.reason);
    },
    Instance: instanceClass(workflows, options),
    Destination,
    WorkflowsEntrypoint: entrypointClass<Definitions>(workflows),
  };
}
