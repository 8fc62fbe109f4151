import { deploymentsObject } from "../contract/objects.ts";
import { fnv1a } from "../contract/hash.ts";
import { log } from "../contract/log.ts";
/**
 * Durable Objects that hold the connections to the broker, unless said otherwise. Few: each is one
 * connection, and the broker's memory goes with their number.
 */
export const MEMBERS = 4;

/** What a Worker needs for RabbitMQ. */
export interface RabbitSettings {
  /** `amqp://` or `amqps://user:password@host:port/vhost`: a secret of the deployment. */
  RABBITMQ_URL?: string;
  /** The management API, `https://user:password@host/vhost`, where a broker can't be reached by TCP. */
  RABBITMQ_HTTP_URL?: string;
  BROKERS?: DurableObjectNamespace;
}

/** A member of the pool, as others call it. */
export interface BrokerCalls {
  publish(json: string): Promise<void>;
  wake(): Promise<void>;
}

/** @throws Error where the class isn't bound */
export function memberAt({ BROKERS }: RabbitSettings, index: number): BrokerCalls {
  if (BROKERS === undefined) {
    throw new Error("RABBITMQ_URL is set, but brokerClass(…) is not bound as BROKERS.");
  }
  return deploymentsObject(BROKERS, String(index)) as unknown as BrokerCalls;
}

/** The member that all messages about one thing go by, so that they keep their order. */
export function memberFor(key: string, members: number): number {
  return fnv1a(key) % members;
}

/** Has all members connect and consume, where RabbitMQ is configured. Never throws. */
export async function wakeBrokers(env: RabbitSettings, members: number): Promise<void> {
  if (env.RABBITMQ_URL === undefined) return;
  const calls = Array.from({ length: members }, (_, index) => memberAt(env, index).wake());
  for (const call of await Promise.allSettled(calls)) {
    if (call.status === "rejected")
      log.error("RabbitMQ's pool can't be woken", { error: call.reason });
  }
}
