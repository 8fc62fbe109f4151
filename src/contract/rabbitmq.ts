import { deploymentsObject } from "./objects.ts";

/** A member of RabbitMQ's pool, as far as dead letters need it. */
interface SendsAgain {
  /**
   * Publishes to a queue of the topology once more. Resolves when the broker has confirmed it.
   *
   * @param json of an envelope
   */
  sendAgain(queue: string, json: string): Promise<void>;
}

/** A member of the pool; undefined where the deployment speaks no AMQP. */
export function brokerOf(env: unknown): SendsAgain | undefined {
  const { BROKERS, RABBITMQ_URL } = (env ?? {}) as {
    BROKERS?: DurableObjectNamespace;
    RABBITMQ_URL?: string;
  };
  if (BROKERS === undefined || RABBITMQ_URL === undefined) return undefined;
  return deploymentsObject(BROKERS, "0") as unknown as SendsAgain;
}
