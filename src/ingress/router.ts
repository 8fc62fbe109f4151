import { Router, type IRequest } from "itty-router";
import type { Caller } from "../contract/caller.ts";
import { defaultLimits, type Limits } from "../contract/limits.ts";
import { problem, refusal } from "../contract/problem.ts";
import { continueTrace } from "../contract/trace.ts";
import { reachOfAll } from "../kernel/access.ts";
import type { Hooks } from "../kernel/hook.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { WaysBack } from "../dead-letters/redrive.ts";
import { archive } from "./archive.ts";
import * as deadLetters from "./dead-letters.ts";
import type { DeadLetterVisit } from "./dead-letters.ts";
import {
  decoded,
  eventSchema,
  history,
  start,
  stream,
  ticket,
  view,
  type Visit,
} from "./handlers.ts";
import { handshake, send, webhook } from "./events.ts";
import { hook } from "./hooks.ts";
import { list } from "./list.ts";
import { Instances } from "./instances.ts";
import { erase, moment, operation, operationNames, simulation } from "./operate.ts";
import { reindex } from "./operations.ts";
import { downloadPayload, uploadPayload } from "./payloads.ts";
import { errorResponse, finish, problemResponse } from "./respond.ts";
import { Allowances } from "../tenants/allowances.ts";
import { admit } from "./admit.ts";
import { originOf, type OriginSettings } from "./origins.ts";
import { readTicket, type TicketSettings } from "./tickets.ts";
import { endOf, type TokenSettings } from "./token.ts";
import type { WebhookSettings } from "./senders.ts";
import { verify } from "./verify.ts";
import { webhookRoutes } from "./webhooks.ts";

export interface IngressEnv extends TokenSettings, WebhookSettings, OriginSettings, TicketSettings {
  INSTANCES: DurableObjectNamespace;
}

export interface RouterOptions {
  limits?: Limits | undefined;
  hooks?: Hooks | undefined;
  /** How dead letters get back to where they died. */
  waysBack?: (env: unknown) => WaysBack;
}

type Workflows = ReadonlyMap<string, RegisteredWorkflow>;

/** HTTP in. Every route but `/healthz` asks for credentials before it does anything else. */
export function createRouter(workflows: Workflows, options: RouterOptions = {}) {
  const { limits = defaultLimits, hooks = {} } = options;
  const allowancesIn = (env: IngressEnv) => new Allowances(env, limits);
  const instancesIn = (env: IngressEnv) => new Instances(env.INSTANCES, allowancesIn(env));
  /** `traceparent`s to go on with, by request. */
  const traces = new WeakMap<object, string>();
  const router = Router<IRequest, [IngressEnv]>({
    before: [
      (request) => void traces.set(request, continueTrace(request.headers.get("traceparent"))),
    ],
    catch: (error, request) => errorResponse(error, traces.get(request)),
    finally: [(response: Response, request) => finish(response, traces.get(request))],
  });

  const visit =
    (handle: (visit: Visit, env: IngressEnv) => Promise<Response>) =>
    async (request: IRequest, env: IngressEnv): Promise<Response> => {
      const caller = await admit(request, env, allowancesIn(env));
      return visitAs(caller, handle)(request, env);
    };

  const visitAs =
    (caller: Caller, handle: (visit: Visit, env: IngressEnv) => Promise<Response>) =>
    (request: IRequest, env: IngressEnv): Promise<Response> => {
      const names = request.params as Record<string, string>;
      const { workflow: key = "", id = "", type = "", seq = "" } = names;
      const workflow = workflows.get(key);
      if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
      if (reachOfAll(workflow, caller.roles) === null) {
        const roles = caller.roles.join(", ") || "nobody";
        throw refusal("forbidden", `${key} are nothing for you; you are ${roles}.`);
      }
      const instances = instancesIn(env);
      const trace = traces.get(request)!;
      return handle({ request, caller, workflow, id, type, seq, instances, trace, env }, env);
    };

  /** A page has no token to send: it brings the ticket that it asked for with one. */
  const watch = async (request: IRequest, env: IngressEnv): Promise<Response> => {
    const allowances = allowancesIn(env);
    const { workflow = "", id = "" } = request.params as Record<string, string>;
    const text = new URL(request.url).searchParams.get("ticket");
    if (text === null) {
      return visit((one) => {
        originOf(request, env);
        return stream({ ...one, allowances, until: endOf(request) });
      })(request, env);
    }
    const origin = originOf(request, env);
    const good = await readTicket(env, text, { workflow, id, origin });
    await allowances.take(good.caller.tenant, "requests", 1);
    return visitAs(good.caller, (one) => stream({ ...one, ...good, allowances }))(request, env);
  };

  const only = (...methods: string[]) => {
    const allow = methods.join(", ");
    return async (request: IRequest, env: IngressEnv): Promise<Response> => {
      await admit(request, env, allowancesIn(env));
      const detail = `${request.method} is not for this address; it takes ${allow}.`;
      return problemResponse(problem("method-not-allowed", detail), { Allow: allow });
    };
  };

  const deadLetter =
    (handle: (visit: DeadLetterVisit) => Promise<Response>) =>
    async (request: IRequest, env: IngressEnv): Promise<Response> => {
      const caller = await admit(request, env, allowancesIn(env));
      // Ids of what instances keep hold a percent sign, which most clients encode.
      const id = decoded((request.params as Record<string, string>)["id"] ?? "");
      const instances = instancesIn(env);
      const keys = [...workflows.keys()];
      const waysBack = options.waysBack?.(env) ?? {};
      return handle({ request, caller, id, instances, workflows: keys, waysBack, env });
    };

  const upload = visit((one) => uploadPayload(one, limits));

  // Before the workflows' own, which the same paths would fit.
  for (const { method, path, handle } of webhookRoutes) {
    router[method === "POST" ? "post" : method === "GET" ? "get" : "delete"](
      path,
      (request: IRequest, env: IngressEnv) => handle(request, env, allowancesIn(env)),
    );
  }
  router.post("/hooks/:name", (request: IRequest, env: IngressEnv) => {
    const { name = "" } = request.params as Record<string, string>;
    const instances = instancesIn(env);
    const trace = traces.get(request)!;
    const allowances = allowancesIn(env);
    return hook(request, name, { hooks, workflows, instances, allowances, settings: env, trace });
  });
  router.all("/hooks/:name", only("POST"));
  for (const path of new Set(webhookRoutes.map((route) => route.path))) {
    const methods = webhookRoutes.filter((route) => route.path === path);
    router.all(path, only(...methods.map(({ method }) => method)));
  }

  // Routes are tried in turn: the busiest come first, what refuses a method last.
  router
    .post("/:workflow/:id/events", visit(send))
    .get("/dead-letters", deadLetter(deadLetters.list))
    .all("/dead-letters", only("GET"))
    .get("/dead-letters/:id", deadLetter(deadLetters.read))
    .delete("/dead-letters/:id", deadLetter(deadLetters.discard))
    .all("/dead-letters/:id", only("GET", "DELETE"))
    .post("/dead-letters/:id/redrive", deadLetter(deadLetters.sendAgain))
    .all("/dead-letters/:id/redrive", only("POST"))
    .get("/:workflow/:id", visit(view))
    .post("/events", (request: IRequest, env: IngressEnv) =>
      webhook(request, workflows, {
        ...{ instances: instancesIn(env), allowances: allowancesIn(env), settings: env },
        trace: traces.get(request)!,
      }),
    )
    .options("/events", (request: IRequest, env: IngressEnv) => handshake(request, env))
    .options("/:workflow/:id/events", (request: IRequest, env: IngressEnv) =>
      handshake(request, env),
    )
    .post("/operations/reindex", (request: IRequest, env: IngressEnv) =>
      reindex(request, env, { instances: instancesIn(env), allowances: allowancesIn(env) }),
    )
    .get("/healthz", () => Response.json({ status: "ok" }))
    .all("/healthz", only("GET"))
    .post("/:workflow", visit(start))
    .get("/:workflow/:id/history", visit(history))
    .get("/:workflow/:id/history/:seq", visit(moment))
    .post("/:workflow/:id/simulate", visit(simulation))
    .get("/:workflow/:id/verify", visit(verify))
    .post("/:workflow/:id/erase", visit(erase))
    .get("/:workflow/:id/stream", watch)
    .post("/:workflow/:id/tickets", visit(ticket))
    .get("/machines/:workflow/events/:type", visit(eventSchema))
    .post("/:workflow/:id/archive", visit(archive))
    .post("/:workflow/:id/payloads", upload)
    .put("/:workflow/:id/payloads", upload)
    .get("/:workflow/:id/payloads/:sha256", visit(downloadPayload))
    .all("/events", only("POST", "OPTIONS"))
    .get("/:workflow", visit(list))
    .all("/:workflow", only("GET", "POST"))
    .all("/:workflow/:id", only("GET"))
    .all("/:workflow/:id/events", only("POST", "OPTIONS"))
    .all("/:workflow/:id/history", only("GET"))
    .all("/:workflow/:id/history/:seq", only("GET"))
    .all("/:workflow/:id/stream", only("GET"))
    .all("/:workflow/:id/tickets", only("POST"))
    .all("/:workflow/:id/archive", only("POST"))
    .all("/:workflow/:id/payloads", only("POST", "PUT"))
    .all("/:workflow/:id/payloads/:sha256", only("GET"))
    .all("/:workflow/:id/simulate", only("POST"))
    .all("/:workflow/:id/verify", only("GET"))
    .all("/:workflow/:id/erase", only("POST"))
    .all("/machines/:workflow/events/:type", only("GET"));
  for (const name of operationNames) {
    router.post(`/:workflow/:id/${name}`, visit(operation(name)));
    router.all(`/:workflow/:id/${name}`, only("POST"));
  }
  return router.all("*", async (request: IRequest, env: IngressEnv) => {
    await admit(request, env, allowancesIn(env));
    throw refusal("not-found", `There is nothing at ${new URL(request.url).pathname}.`);
  });
}
