/** Seconds that a message may wait before it is tried again: what `retryDelay` of the queues gives. */
const DELAYS = [5, 10, 20, 40, 80, 160, 300] as const;

/** Where everything is published; the routing key is `{queue}.{event type}`. */
export const EXCHANGE = "durachart";

/** What can never be delivered, by the name of the queue that it could not be delivered from. */
export const DEAD = "durachart-dead";

/** Keeps a message for so many seconds, then puts it back into the queue that its routing key names. */
export const retryOf = (delay: number): string => `durachart-retry-${delay}`;

interface Exchange {
  name: string;
  type: "topic" | "fanout";
}

interface Queue {
  name: string;
  arguments: Readonly<Record<string, string | number>>;
  bindings: readonly { exchange: string; key: string }[];
}

export interface Topology {
  exchanges: readonly Exchange[];
  queues: readonly Queue[];
}

/**
 * Quorum queues, since only they hand a message on to where it is dead-lettered with a confirm, and
 * so never lose it on the way (RabbitMQ, "Dead lettering", at-least-once; from 3.10 on). That needs
 * `reject-publish`.
 */
const durable = {
  "x-queue-type": "quorum",
  "x-dead-letter-strategy": "at-least-once",
  "x-overflow": "reject-publish",
};

/** The queues that events are published to: neither the dead letters' nor those that only delay. */
export function eventQueuesOf({ queues }: Topology): string[] {
  const isOfEvents = ({ bindings }: Queue): boolean =>
    bindings.some(({ exchange }) => exchange === EXCHANGE);
  return queues.filter(isOfEvents).map(({ name }) => name);
}

/** All exchanges and queues there are, for so many queues of events. */
export function topologyOf(queues: readonly string[]): Topology {
  return {
    exchanges: [
      { name: EXCHANGE, type: "topic" },
      { name: DEAD, type: "topic" },
      ...DELAYS.map((delay) => ({ name: retryOf(delay), type: "fanout" }) as const),
    ],
    queues: [
      {
        name: DEAD,
        arguments: { "x-queue-type": "quorum" },
        bindings: [{ exchange: DEAD, key: "#" }],
      },
      ...queues.map((name) => ({
        name,
        // What the broker itself would drop (a delivery limit, an expiration) is a dead letter too.
        arguments: {
          ...durable,
          "x-dead-letter-exchange": DEAD,
          "x-dead-letter-routing-key": name,
        },
        bindings: [{ exchange: EXCHANGE, key: `${name}.#` }],
      })),
      ...DELAYS.map((delay) => ({
        name: retryOf(delay),
        // Through the default exchange, by the message's own routing key: the queue it came from.
        arguments: { ...durable, "x-dead-letter-exchange": "", "x-message-ttl": delay * 1_000 },
        bindings: [{ exchange: retryOf(delay), key: "" }],
      })),
    ],
  };
}
