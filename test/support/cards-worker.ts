import { durachart } from "../../src/index.ts";
import { cards } from "./cards.ts";

/** The Worker whose disk, answers and logs are searched for a card's number. */
const app = durachart({ workflows: { cards }, queues: { "cards-events": "EVENTS_QUEUE" } });

interface Env {
  EVENTS_QUEUE: Queue;
}

export default {
  ...app,
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname !== "/enqueue") return app.fetch(request, env as never);
    await env.EVENTS_QUEUE.send(await request.json(), { contentType: "json" });
    return new Response(null, { status: 204 });
  },
};
export const { Instance, Tenant, Webhooks } = app;
