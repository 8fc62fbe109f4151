import { defaultLimits, type Limits } from "./contract/limits.ts";
import { Destination } from "./egress/destination.ts";
import type { Destinations } from "./egress/leave.ts";
import { deliverCloudEvent } from "./ingress/deliver.ts";
import { entrypointClass } from "./ingress/entrypoint.ts";
import { Instances } from "./ingress/instances.ts";
import { consume } from "./ingress/queue.ts";
import { createRouter, type IngressEnv } from "./ingress/router.ts";
import { instanceClass } from "./instance/instance.ts";
import { registerWorkflows } from "./kernel/registration.ts";
import type { Workflows } from "./kernel/workflow.ts";

export { TerminalError } from "./egress/terminal-error.ts";
export { defaultLimits };
export { Unsupported } from "./kernel/errors.ts";
export { signedContent } from "./ingress/signed-content.ts";
export type { DestinationLimit, Destinations } from "./egress/leave.ts";
export type { Caller } from "./contract/caller.ts";
export type { Limits };
export type { Payload, PayloadReference } from "./contract/payload.ts";
export type { Problem } from "./contract/problem.ts";
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

export interface DurachartEnv extends IngressEnv {
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
  /** What an instance may take up; `{ ...defaultLimits, payloadBytes: 5_000_000 }` alters one. */
  limits?: Limits;
}) {
  const workflows = registerWorkflows(options.workflows);
  for (const { warnings } of workflows.values()) for (const one of warnings) console.warn(one);
  const router = createRouter(workflows, options.limits);
  return {
    fetch: (request: Request, env: DurachartEnv): Promise<Response> => router.fetch(request, env),
    queue: (batch: MessageBatch, env: DurachartEnv): Promise<void> =>
      consume(batch, env.DEAD_LETTERS, async (caller, event) => {
        const instances = new Instances(env.INSTANCES);
        const brokered = { brokered: true };
        const reply = await deliverCloudEvent(workflows, instances, caller, event, brokered);
        return reply.ok ? null : reply.problem;
      }),
    Instance: instanceClass(workflows, options.destinations, options.limits),
    Destination,
    WorkflowsEntrypoint: entrypointClass<Definitions>(workflows),
  };
}
