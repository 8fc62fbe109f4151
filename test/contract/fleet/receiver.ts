import { WorkerEntrypoint } from "cloudflare:workers";
import type { Envelope } from "../../../src/contract/envelope.ts";
import { problem, type Problem } from "../../../src/contract/problem.ts";

interface Env {
  /** The origin of what takes everything in the end, or does not. */
  SINK: string;
}

async function post({ SINK }: Env, path: string, { event }: Envelope): Promise<boolean> {
  const body = JSON.stringify(event);
  const response = await fetch(`${SINK}${path}`, { method: "POST", body });
  await response.arrayBuffer();
  return response.ok;
}

/** Another Worker: by RPC, and behind a queue. */
export default class Receiver extends WorkerEntrypoint<Env> {
  async deliver(envelope: Envelope): Promise<Problem | null> {
    return (await post(this.env, "/service", envelope)) ? null : problem("overloaded", "Not now");
  }

  override async queue({ messages }: MessageBatch<Envelope>): Promise<void> {
    await Promise.all(
      messages.map(async (message) => {
        const isTaken = await post(this.env, "/queue", message.body).catch(() => false);
        if (isTaken) message.ack();
        // Without a delay a hundred retries are soon used up, and the message is gone.
        else message.retry({ delaySeconds: 1 });
      }),
    );
  }

  override fetch(): Response {
    return new Response(null, { status: 404 });
  }
}
