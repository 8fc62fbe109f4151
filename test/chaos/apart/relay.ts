import type { Taking, TakenMessage } from "./taking.ts";

interface Env {
  KITCHEN: Taking;
  DELIVERY: Taking;
  ORDERLOG: Taking;
  MAILS: Taking;
}

/**
 * Keeps the queues whose consumers run in processes of their own: the local runtime's broker drops what a
 * consumer elsewhere can't be given, the platform's keeps it. Here a batch that its consumer didn't take is
 * tried again, as there.
 */
export default {
  fetch: (): Response => new Response(null, { status: 404 }),

  async queue({ queue, messages }: MessageBatch, env: Env): Promise<void> {
    const consumer = env[queue.toUpperCase() as keyof Env];
    const given = messages.map(({ id, timestamp, attempts, body }): TakenMessage => {
      return { id, timestamp: timestamp.getTime(), attempts, body };
    });
    const outcomes = await consumer.take(queue, given);
    for (const message of messages) {
      const outcome = outcomes[message.id];
      if (outcome === "ack") message.ack();
      else message.retry(outcome);
    }
  },
};
