import * as v from "valibot";
import { durachart, exportToQueue, type Transition } from "../../src/index.ts";
import { cards } from "./cards.ts";

const callback = v.object({ id: v.string(), order: v.string(), number: v.string() });

/** The Worker whose disk, answers and logs are searched for a card's number. */
const app = durachart({
  workflows: { cards },
  queues: { "cards-events": "EVENTS_QUEUE" },
  hooks: {
    payments: {
      signature: { scheme: "timestamped", header: "Payment-Signature" },
      schema: callback,
      map: ({ id, order, number }: v.InferOutput<typeof callback>) => ({
        ...{ workflow: "cards", id: order, key: id, type: "PAY" },
        data: { card: { number, holder: "Carla" } },
      }),
    },
  },
  export: exportToQueue("TRANSITIONS"),
});

interface Env {
  EVENTS_QUEUE: Queue;
  ARCHIVE: R2Bucket;
}

export default {
  ...app,
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname !== "/enqueue") return app.fetch(request, env as never);
    await env.EVENTS_QUEUE.send(await request.json(), { contentType: "json" });
    return new Response(null, { status: 204 });
  },
  /** What was exported is put where the disk is searched. */
  async queue(batch: MessageBatch, env: Env, context: ExecutionContext): Promise<void> {
    if (batch.queue !== "cards-transitions") {
      return app.queue(batch as never, env as never, context);
    }
    for (const { body } of batch.messages as readonly Message<Transition>[]) {
      await env.ARCHIVE.put(`exported/${body.subject}/${body.data.seq}`, JSON.stringify(body));
    }
  },
};
export const { Instance, Tenant, Webhooks } = app;
