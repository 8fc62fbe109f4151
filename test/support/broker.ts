import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import { BrokerServer, freePort } from "../../src/cli/broker-server.ts";
import { dialFromNode } from "../../src/cli/dial.ts";
import { Connection } from "../../src/rabbitmq/connection.ts";
import { declareTopology } from "../../src/rabbitmq/declare.ts";
import { endpointOf } from "../../src/rabbitmq/endpoint.ts";
import { topology } from "../../src/topology.ts";

let hosts = 0;

export interface VirtualHost {
  /** By a port that may be a proxy's. */
  url: (port: number) => string;
  /** In each of its queues, delivered and not acknowledged ones too. */
  messages(): Promise<Record<string, number>>;
}

/** A real RabbitMQ for one test file, in a folder and on ports of its own. */
export async function startBroker() {
  const folder = mkdtempSync(join(tmpdir(), "durachart-broker-"));
  const ports = { port: await freePort(), managementPort: await freePort() };
  const server = new BrokerServer({
    folder,
    ...ports,
    // What the management tells of queues and connections is never older.
    settings: { collect_statistics_interval: "200" },
  });
  await server.start();
  return Object.assign(server, {
    ...ports,
    /** A virtual host of its own, with nothing in it. */
    async freshHost(): Promise<VirtualHost> {
      const name = `test-${++hosts}`;
      const { username } = new URL(server.url);
      const everything = { configure: ".*", write: ".*", read: ".*" };
      await server.api("PUT", `/api/vhosts/${name}`, {});
      await server.api("PUT", `/api/permissions/${name}/${username}`, everything);
      return {
        url: (port) => server.url.replace(`:${ports.port}/%2F`, `:${port}/${name}`),
        async messages() {
          const response = await server.api("GET", `/api/queues/${name}`);
          const queues = (await response.json()) as { name: string; messages?: number }[];
          // Queues that nobody has used since the start have no count yet.
          return Object.fromEntries(queues.map(({ name, messages = 0 }) => [name, messages]));
        },
      };
    },
    async remove(): Promise<void> {
      await server.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  });
}

export type TestBroker = Awaited<ReturnType<typeof startBroker>>;

export function connectTo(url: string): Promise<Connection> {
  return Connection.open(endpointOf(url), dialFromNode, "test");
}

/** A connection as somebody else's program has one, with the shop's topology there. */
export async function openConnection(broker: TestBroker): Promise<Connection> {
  const connection = await connectTo(broker.url);
  await declareTopology(connection, topology);
  return connection;
}

/** A CloudEvent in structured mode, as somebody else's program would send it. */
export function structured(to: string, { tenant, event }: { tenant?: string; event?: object }) {
  const headers: Record<string, string> =
    tenant === undefined ? {} : { "durachart-tenant": tenant };
  return {
    exchange: "durachart",
    routingKey: to,
    body: new TextEncoder().encode(JSON.stringify(event)),
    properties: { contentType: "application/cloudevents+json", headers },
  };
}

/** Takes one message out of a queue, or null where there is none. */
export async function takeFrom(connection: Connection, queue: string): Promise<AMQPMessage | null> {
  const channel = await connection.channel();
  const message = await channel.basicGet(queue, { noAck: true });
  await channel.close();
  return message;
}

/** How many messages are ready in a queue. */
export async function readyIn(connection: Connection, queue: string): Promise<number> {
  const channel = await connection.channel();
  const { messageCount } = await channel.queueDeclare(queue, { passive: true });
  await channel.close();
  return messageCount;
}
