import { expect } from "vitest";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { openConnection, startBroker, structured, type TestBroker } from "./broker.ts";

/** What the shop's services are joined by, for tests that must hold whatever it is. */
interface ShopTransport {
  /** @returns the shop's settings */
  start(): Promise<Record<string, string>>;
  stop(): Promise<void>;
  /** Puts something where a Worker of the shop would, by the name of its queue's binding. */
  put(queue: Queue, binding: string, body: object): Promise<void>;
  /** What the dead letters call a queue. */
  originOf(queue: string): string;
  /** Why a message without an event is a dead letter. */
  refusalBy(queue: string): object;
}

const overQueues: ShopTransport = {
  start: () => Promise.resolve({}),
  stop: () => Promise.resolve(),
  put: async (queue, _, body) => void (await queue.send(body, { contentType: "json" })),
  originOf: (queue) => `queue:${queue}`,
  refusalBy: () => ({ status: 422, detail: expect.stringContaining("event") as string }),
};

/** The queues that RabbitMQ has in the place of Cloudflare's. */
const brokered: Record<string, string> = {
  KITCHEN_QUEUE: "kitchen",
  DELIVERY_QUEUE: "delivery",
  EVENTS_QUEUE: "durachart-events",
};

let broker: TestBroker;
let connection: Connection;
const isBrokered = (queue: string): boolean => Object.values(brokered).includes(queue);

const overRabbitMQ: ShopTransport = {
  start: async () => {
    broker = await startBroker();
    connection = await openConnection(broker);
    return { RABBITMQ_URL: broker.url };
  },
  stop: async () => {
    await connection.close();
    await broker.remove();
  },
  put: async (queue, binding, body) => {
    const to = brokered[binding];
    if (to === undefined) return overQueues.put(queue, binding, body);
    const { tenant, event, ...rest } = body as { tenant?: string; event?: object };
    const whose = tenant === undefined ? {} : { tenant };
    await connection.publish(structured(to, { ...whose, event: event ?? rest }));
  },
  originOf: (queue) => `${isBrokered(queue) ? "rabbitmq" : "queue"}:${queue}`,
  refusalBy: (queue) =>
    isBrokered(queue)
      ? { status: 400, detail: expect.stringContaining("specversion") as string }
      : overQueues.refusalBy(queue),
};

/** Which one, the vitest project says. */
export const over =
  process.env["DURACHART_TEST_TRANSPORT"] === "rabbitmq" ? overRabbitMQ : overQueues;
