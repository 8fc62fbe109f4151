import { WorkerEntrypoint } from "cloudflare:workers";

/** A message on its way to a consumer in another process. */
export interface TakenMessage {
  id: string;
  /** Milliseconds since the epoch. */
  timestamp: number;
  attempts: number;
  body: unknown;
}

/** What became of each message. */
export type Outcomes = Record<string, "ack" | QueueRetryOptions>;

export interface Taking {
  take(queue: string, messages: TakenMessage[]): Promise<Outcomes>;
}

type Consumer<Env> = {
  queue(batch: MessageBatch, env: Env, context: ExecutionContext): Promise<void> | void;
};

/** The entrypoint `Taker` by which a Worker's own `queue` handler is called from another process. */
export function takerFor<Env>(worker: Consumer<Env>) {
  return class Taker extends WorkerEntrypoint<Env> implements Taking {
    async take(queue: string, messages: TakenMessage[]): Promise<Outcomes> {
      const outcomes: Outcomes = {};
      // The first word counts, as on the platform.
      const settle = (id: string, outcome: Outcomes[string]) => void (outcomes[id] ??= outcome);
      const given = messages.map(({ id, timestamp, attempts, body }): Message => ({
        ...{ id, timestamp: new Date(timestamp), attempts, body },
        ack: () => settle(id, "ack"),
        retry: (options = {}) => settle(id, options),
      }));
      const all = (outcome: Outcomes[string]) => given.forEach(({ id }) => settle(id, outcome));
      const batch = {
        ...{ queue, messages: given },
        ackAll: () => all("ack"),
        retryAll: (options = {}) => all(options),
      } as unknown as MessageBatch;
      await worker.queue(batch, this.env, this.ctx as unknown as ExecutionContext);
      all("ack");
      return outcomes;
    }
  };
}
