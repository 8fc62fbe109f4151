import { Router, type IRequest } from "itty-router";
import { defaultLimits, type Limits } from "../contract/limits.ts";
import { problem, refusal } from "../contract/problem.ts";
import { continueTrace } from "../contract/trace.ts";
import type { Hooks } from "../kernel/hook.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { WaysBack } from "../dead-letters/redrive.ts";
import { archive } from "./archive.ts";
import * as deadLetters from "./dead-letters.ts";
import type { DeadLetterVisit } from "./dead-letters.ts";
import { decoded, eventSchema, history, start, stream, view, type Visit } from "./handlers.ts";
import { handshake, send, webhook } from "./events.ts";
import { hook } from "./hooks.ts";
import { list } from "./list.ts";
import { Instances } from "./instances.ts";
import { erase, moment, operation, operationNames, simulation } from "./operate.ts";
import { reindex } from "./operations.ts";
import { downloadPayload, uploadPayload } from "./payloads.ts";
import { errorResponse, problemResponse, withTrace } from "./respond.ts";
import { authenticate, type TokenSettings } from "./token.ts";
import type { WebhookSettings } from "./senders.ts";
import { verify } from "./verify.ts";
import { webhookRoutes } from "./webhooks.ts";

export interface IngressEnv extends TokenSettings, WebhookSettings {
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
  /** `traceparent`s to go on with, by request. */
  const traces = new WeakMap<object, string>();
  const router = Router<IRequest, [IngressEnv]>({
    before: [
      (request) => void traces.set(request, continueTrace(request.headers.get("traceparent"))),
    ],
    catch: (error, request) => errorResponse(error, traces.get(request)),
    finally: [(response: Response, request) => withTrace(response, traces.get(request)!)],
  });

  const visit =
    (handle: (visit: Visit, env: IngressEnv) => Promise<Response>) =>
    async (request: IRequest, env: IngressEnv): Promise<Response> => {
      const caller = await authenticate(request, env);
      const names = request.params as Record<string, string>;
      const { workflow: key = "", id = "", type = "", seq = "" } = names;
      const workflow = workflows.get(key);
      if (workflow === undefined) throw refusal("not-found", `There is no workflow "${key}".`);
      const instances = new Instances(env.INSTANCES);
      const trace = traces.get(request)!;
      return handle({ request, caller, workflow, id, type, seq, instances, trace, env }, env);
    };

  const only = (...methods: string[]) => {
    const allow = methods.join(", ");
    return async (request: IRequest, env: IngressEnv): Promise<Response> => {
      await authenticate(request, env);
      const detail = `${request.method} is not for this address; it takes ${allow}.`;
      return problemResponse(problem("method-not-allowed", detail), { Allow: allow });
    };
  };

  const deadLetter =
    (handle: (visit: DeadLetterVisit) => Promise<Response>) =>
    async (request: IRequest, env: IngressEnv): Promise<Response> => {
      const caller = await authenticate(request, env);
      // Ids of what instances keep hold a percent sign, which most clients encode.
      const id = decoded((request.params as Record<string, string>)["id"] ?? "");
      const instances = new Instances(env.INSTANCES);
      const keys = [...workflows.keys()];
      const waysBack = options.waysBack?.(env) ?? {};
      return handle({ request, caller, id, instances, workflows: keys, waysBack, env });
    };

  const upload = visit((one) => uploadPayload(one, limits));

  // Before the workflows' own, which the same paths would fit.
  for (const { method, path, handle } of webhookRoutes) {
    router[method === "POST" ? "post" : method === "GET" ? "get" : "delete"](path, handle);
  }
  router.post("/hooks/:name", (request: IRequest, env: IngressEnv) => {
    const { name = "" } = request.params as Record<string, string>;
    const instances = new Instances(env.INSTANCES);
    const trace = traces.get(request)!;
    return hook(request, name, { hooks, workflows, instances, settings: env, trace });
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
      webhook(request, workflows, new Instances(env.INSTANCES), env, traces.get(request)!),
    )
    .options("/events", (request: IRequest, env: IngressEnv) => handshake(request, env))
    .options("/:workflow/:id/events", (request: IRequest, env: IngressEnv) =>
      handshake(request, env),
    )
    .post("/operations/reindex", (request: IRequest, env: IngressEnv) =>
      reindex(request, env, new Instances(env.INSTANCES)),
    )
    .get("/healthz", () => Response.json({ status: "ok" }))
    .all("/healthz", only("GET"))
    .post("/:workflow", visit(start))
    .get("/:workflow/:id/history", visit(history))
    .get("/:workflow/:id/history/:seq", visit(moment))
    .post("/:workflow/:id/simulate", visit(simulation))
    .get("/:workflow/:id/verify", visit(verify))
    .post("/:workflow/:id/erase", visit(erase))
    .get("/:workflow/:id/stream", visit(stream))
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
    await authenticate(request, env);
    throw refusal("not-found", `There is nothing at ${new URL(request.url).pathname}.`);
  });
}
