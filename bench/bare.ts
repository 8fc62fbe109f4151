import { DurableObject } from "cloudflare:workers";
import { Router, type IRequest } from "itty-router";
import { readJson } from "../src/ingress/body.ts";
import { errorResponse, jsonResponse } from "../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../src/ingress/token.ts";

interface Env extends TokenSettings {
  OBJECTS: DurableObjectNamespace<BareObject>;
}

/** What we are compared with: a Durable Object that does one SQL insert a request, and nothing else. */
export class BareObject extends DurableObject<Env> {
  #answer = "";

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    context.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, type TEXT, data TEXT)",
    );
  }

  /** @param length of the answer: both sides send as much */
  insert(type: string, data: string, length: number): string {
    this.ctx.storage.sql.exec("INSERT INTO events (type, data) VALUES (?, ?)", type, data);
    if (this.#answer.length !== length) this.#answer = JSON.stringify({ ok: true }).padEnd(length);
    return this.#answer;
  }
}

/**
 * The door is ours: the same router, authentication and JSON body with its limits. What differs is
 * the object behind it.
 */
const router = Router<IRequest, [Env]>({ catch: (error) => errorResponse(error) })
  .get("/healthz", () => Response.json({ status: "ok" }))
  .post("/:workflow/:id/events", async (incoming: IRequest, env: Env) => {
    const request = incoming as unknown as Request;
    const { tenant } = await authenticate(request, env);
    const { workflow, id } = incoming.params as { workflow: string; id: string };
    const { type, data } = (await readJson(request)) as { type: string; data: unknown };
    const stub = env.OBJECTS.getByName([tenant, workflow, id].map(encodeURIComponent).join("/"));
    const length = Number(request.headers.get("Answer-Bytes"));
    return jsonResponse(await stub.insert(type, JSON.stringify(data ?? null), length));
  });

export default {
  fetch: (request: Request, env: Env): Promise<Response> => router.fetch(request, env),
};
