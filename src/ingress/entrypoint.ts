import { WorkerEntrypoint } from "cloudflare:workers";
import type { Caller } from "../contract/caller.ts";
import { dedupeByKey } from "../contract/dedupe.ts";
import type { Limits } from "../contract/limits.ts";
import { ProblemError, refusal, type Problem } from "../contract/problem.ts";
import type { Envelope } from "../contract/envelope.ts";
import type { Reply } from "../contract/requests.ts";
import type { EventReply, View } from "../contract/view.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { EventDefinitions, EventsOf, Workflows } from "../kernel/workflow.ts";
import { Allowances } from "../tenants/allowances.ts";
import { realmOf } from "../contract/realm.ts";
import { checkMessage } from "../contract/shape.ts";
import { requestOf } from "./deliver.ts";
import { addressOf, Instances } from "./instances.ts";
import { openEnvelope } from "./queue.ts";
import type { IngressEnv } from "./router.ts";
import { startRequest } from "./start-body.ts";
import { incoming } from "../instance/validate.ts";

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

/** An answer to a caller by service binding: a value, or a problem as data. */
export type Result<Value, More = object> =
  ({ ok: true; value: Value } & More) | { ok: false; problem: Problem };

export interface StartOptions<Event> {
  id: string;
  input?: unknown;
  event?: Event;
}

/** `start`, `send` and `get` for other Workers, with the same checks and answers as over HTTP. */
export function entrypointClass<Definitions extends Workflows>(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  limits: Limits,
) {
  return class WorkflowsEntrypoint extends WorkerEntrypoint<IngressEnv, BindingProps> {
    start<Key extends keyof Definitions & string>(
      workflow: Key,
      options: StartOptions<EventFor<Definitions, Key>>,
    ): Promise<Result<View, { created: boolean }>> {
      return this.#answer(workflow, (registered, caller, instances) => {
        checkMessage(options);
        return instances.start(startRequest(registered, caller, options, undefined));
      });
    }

    /** @param key repeats with the same key are applied once */
    send<Key extends keyof Definitions & string>(
      workflow: Key,
      id: string,
      event: EventFor<Definitions, Key>,
      key?: string,
    ): Promise<Result<EventReply>> {
      return this.#answer(workflow, (registered, caller, instances) => {
        checkMessage(event);
        const { type, data } = event as { type: unknown; data?: unknown };
        const address = addressOf(caller, workflow, id);
        const dedupe = key === undefined ? {} : { dedupe: dedupeByKey(caller, key) };
        return instances.send({
          address,
          caller,
          event: incoming(registered, type, data),
          ...dedupe,
        });
      });
    }

    /**
     * A CloudEvent whose subject names the instance, as a queue would bring it: what comes too early is kept
     * or worth another try. Its tenant is the binding's, whatever the envelope says.
     *
     * @returns the problem that it met, or null when it is safe
     */
    async deliver(envelope: Envelope): Promise<Problem | null> {
      const reply = await answered(() => {
        const { event } = openEnvelope(envelope);
        const caller = this.#caller();
        const instances = new Instances(this.env.INSTANCES);
        return instances.send(requestOf(workflows, event, { caller, brokered: true }));
      });
      return reply.ok ? null : reply.problem;
    }

    get<Key extends keyof Definitions & string>(workflow: Key, id: string): Promise<Result<View>> {
      return this.#answer(workflow, (_registered, caller, instances) =>
        instances.get({ address: addressOf(caller, workflow, id), caller }),
      );
    }

    async #answer<Value, More>(
      key: string,
      act: (
        workflow: RegisteredWorkflow,
        caller: Caller,
        instances: Instances,
      ) => Promise<Reply<Value, More>>,
    ): Promise<Result<Value, More>> {
      const reply = await answered(async () => {
        const workflow = workflows.get(key);
        if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
        return act(workflow, this.#caller(), await this.#instances());
      });
      return reply.ok ? { ...reply, value: JSON.parse(reply.json) as Value } : reply;
    }

    async #instances(): Promise<Instances> {
      const allowances = new Allowances(this.env, limits);
      await allowances.take(this.#caller().tenant, "requests", 1);
      return new Instances(this.env.INSTANCES, allowances);
    }

    #caller(): Caller {
      const { tenant, subject, roles, jurisdiction } = this.ctx.props ?? {};
      if (!tenant || !subject || !roles) {
        throw refusal(
          "unauthenticated",
          "The service binding must name tenant, subject and roles in its props.",
        );
      }
      const where = jurisdiction === undefined ? {} : { jurisdiction };
      const caller = { tenant, subject, roles, credential: `binding:${subject}`, ...where };
      realmOf(caller);
      return caller;
    }
  };
}

/** An error's class doesn't survive RPC: problems travel as data. */
async function answered<Answer>(
  act: () => Promise<Answer>,
): Promise<Answer | { ok: false; problem: Problem }> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof ProblemError) return { ok: false, problem: error.problem };
    throw error;
  }
}
