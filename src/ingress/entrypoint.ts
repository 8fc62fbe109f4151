import { WorkerEntrypoint } from "cloudflare:workers";
import type { Caller } from "../contract/caller.ts";
import { refusal, ProblemError } from "../contract/problem.ts";
import type { GetReply, Reply, SendReply, StartReply } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { EventDefinitions, EventsOf, Workflows } from "../kernel/workflow.ts";
import { checkShape } from "./body.ts";
import { dedupeByKey } from "./idempotency.ts";
import { addressOf, Instances } from "./instances.ts";
import type { IngressEnv } from "./router.ts";
import { startRequest } from "./start-body.ts";
import { validateEvent } from "./validate.ts";

/**
 * Who calls by service binding: the `props` of the binding in the caller's own `wrangler.toml`. The
 * caller's code can't alter them, so they are its credentials.
 */
export type BindingProps = Partial<Caller>;

/** The events of a workflow, as its callers send them. */
export type EventFor<
  Definitions extends Workflows,
  Key extends keyof Definitions,
> = Definitions[Key] extends { events: infer Events extends EventDefinitions }
  ? EventsOf<Events>
  : { type: string; data?: unknown };

export interface StartOptions<Event> {
  id: string;
  input?: unknown;
  event?: Event;
}

/** `start`, `send` and `get` for other Workers, with the same checks and answers as over HTTP. */
export function entrypointClass<Definitions extends Workflows>(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
) {
  return class WorkflowsEntrypoint extends WorkerEntrypoint<IngressEnv, BindingProps> {
    start<Key extends keyof Definitions & string>(
      workflow: Key,
      options: StartOptions<EventFor<Definitions, Key>>,
    ): Promise<StartReply> {
      return this.#answer(workflow, (registered, caller, instances) => {
        checkShape(options);
        return instances.start(startRequest(registered, caller, options, undefined));
      });
    }

    /** @param key repeats with the same key are applied once */
    send<Key extends keyof Definitions & string>(
      workflow: Key,
      id: string,
      event: EventFor<Definitions, Key>,
      key?: string,
    ): Promise<SendReply> {
      return this.#answer(workflow, (registered, caller, instances) => {
        checkShape(event);
        const { type, data } = event as { type: unknown; data?: unknown };
        const valid = validateEvent(registered, type, data);
        const address = addressOf(caller, workflow, id);
        const dedupe = key === undefined ? {} : { dedupe: dedupeByKey(caller, key, valid) };
        return instances.send({ address, caller, event: valid, ...dedupe });
      });
    }

    get<Key extends keyof Definitions & string>(workflow: Key, id: string): Promise<GetReply> {
      return this.#answer(workflow, (_registered, caller, instances) =>
        instances.get({ address: addressOf(caller, workflow, id), caller }),
      );
    }

    async #answer<Value>(
      key: string,
      act: (
        workflow: RegisteredWorkflow,
        caller: Caller,
        instances: Instances,
      ) => Promise<Reply<Value>>,
    ): Promise<Reply<Value>> {
      try {
        const workflow = workflows.get(key);
        if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
        return await act(workflow, this.#caller(), new Instances(this.env.INSTANCES));
      } catch (error) {
        if (error instanceof ProblemError) return { ok: false, problem: error.problem };
        throw error;
      }
    }

    #caller(): Caller {
      const { tenant, subject, roles, jurisdiction } = this.ctx.props ?? {};
      if (!tenant || !subject || !roles) {
        throw refusal(
          "unauthenticated",
          "The service binding must name tenant, subject and roles in its props.",
        );
      }
      return { tenant, subject, roles, ...(jurisdiction === undefined ? {} : { jurisdiction }) };
    }
  };
}
