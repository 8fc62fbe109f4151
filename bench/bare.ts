import { DurableObject } from "cloudflare:workers";
import { errorResponse } from "../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../src/ingress/token.ts";

interface Env extends TokenSettings {
  OBJECTS: DurableObjectNamespace<BareObject>;
  /** How long an answer is, so that both sides send the same. */
  RESPONSE_BYTES: string;
}

/** What we are compared with: a Durable Object that does one SQL insert a request, and nothing else. */
export class BareObject extends DurableObject<Env> {
  readonly #answer: string;

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    context.storage.sql.exec(
      "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT)",
    );
    this.#answer = JSON.stringify({ ok: true }).padEnd(Number(env.RESPONSE_BYTES));
  }

  insert(body: string): string {
    this.ctx.storage.sql.exec("INSERT INTO events (body) VALUES (?)", body);
    return this.#answer;
  }
}

/** The same door and the same hop as ours: authenticate, read the body, call the object. */
export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    try {
      const { tenant } = await authenticate(request, env);
      const name = `${tenant}${new URL(request.url).pathname}`;
      const answer = await env.OBJECTS.getByName(name).insert(await request.text());
      return new Response(answer, { headers: { "Content-Type": "application/json" } });
    } catch (error) {
      return errorResponse(error);
    }
  },
};
