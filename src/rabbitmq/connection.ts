import type { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import type { AMQPProperties } from "@cloudamqp/amqp-client/amqp-properties";
import type { Endpoint } from "./endpoint.ts";
import { StreamClient, type Dial } from "./stream-client.ts";
import { saidBy, within } from "../contract/within.ts";

/** Milliseconds until a broker must have let us in. */
const CONNECT_PATIENCE = 5_000;

/** Milliseconds until a broker must have confirmed: less than what an effect has, so that its error is ours. */
const CONFIRM_PATIENCE = 6_000;

/** Tells a returned message from its neighbours: ids are unique only with their source. */
const SEQUENCE = "durachart-sequence";

/** The message can't be written as it is: trying again can't help. */
export class Unwritable extends Error {
  override name = "Unwritable";
}

export interface Publication {
  exchange: string;
  routingKey: string;
  body: Uint8Array;
  properties: AMQPProperties;
}

/** One connection to a broker: publishes with confirms, consumes with acknowledgements. */
export class Connection {
  /** Resolves with the reason when the connection is no more. */
  readonly lost: Promise<Error>;
  readonly #client: StreamClient;
  #publishing: AMQPChannel | undefined;
  #sequence = 0;
  /** Publications under way → why the broker has given them back, if it has. */
  readonly #underWay = new Map<string, string | null>();

  private constructor(client: StreamClient) {
    this.#client = client;
    this.lost = new Promise((resolve) => {
      client.ondisconnect = (error) => resolve(error ?? new Error("Disconnected"));
    });
  }

  /** @throws Error where the broker can't be reached or doesn't let us in */
  static async open(endpoint: Endpoint, dial: Dial, name: string): Promise<Connection> {
    const client = new StreamClient(endpoint, dial, name);
    const connection = new Connection(client);
    const where = `RabbitMQ at ${endpoint.host}:${endpoint.port}`;
    try {
      await within(connection.#begin(), CONNECT_PATIENCE, "it did not answer in time");
    } catch (error) {
      client.cut("given up");
      throw new Error(`${where} could not be reached: ${saidBy(error)}`, { cause: error });
    }
    return connection;
  }

  async #begin(): Promise<void> {
    await this.#client.connect();
    this.#publishing = await this.channel();
    await this.#publishing.confirmSelect();
    this.#publishing.onReturn = ({ properties, replyCode, replyText }) => {
      const sequence = properties.headers?.[SEQUENCE];
      if (typeof sequence !== "string" || !this.#underWay.has(sequence)) return;
      this.#underWay.set(sequence, `${replyCode} ${replyText}`);
    };
    // What was under way on it is lost; all begins afresh, the topology too.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library has no other way
    this.#publishing.onerror = (reason) => this.cut(reason);
  }

  /** A channel of its own, for declarations: an error closes it, and nothing else. */
  async channel(): Promise<AMQPChannel> {
    const channel = await this.#client.channel();
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library has no other way
    channel.onerror = () => {};
    return channel;
  }

  /**
   * Resolves when the broker has the message in a queue, on its disk. In the order of the calls; many
   * may be under way.
   *
   * @throws Error worth trying again: returned, refused, not confirmed in time, connection lost
   * @throws Unwritable where a property or a header can't be written
   */
  async publish({ exchange, routingKey, body, properties }: Publication): Promise<void> {
    const sequence = String(++this.#sequence);
    this.#underWay.set(sequence, null);
    const headers = { ...properties.headers, [SEQUENCE]: sequence };
    const all = { ...properties, headers, deliveryMode: 2 };
    const what = `${routingKey} to the exchange "${exchange}"`;
    try {
      const sent = this.#publishing!.basicPublish(exchange, routingKey, body, all, true);
      await within(sent, CONFIRM_PATIENCE, `no confirm within ${CONFIRM_PATIENCE / 1_000} s`);
      const returned = this.#underWay.get(sequence);
      if (typeof returned === "string") {
        throw new Error(
          `no queue takes it (${returned}); declare the topology: npm run rabbitmq -- declare`,
        );
      }
    } catch (error) {
      const text = `RabbitMQ did not take ${what}: ${saidBy(error)}`;
      // What DataView and BigInt throw while the client writes the frame.
      const isUnwritable = error instanceof RangeError || error instanceof TypeError;
      throw new (isUnwritable ? Unwritable : Error)(text, { cause: error });
    } finally {
      this.#underWay.delete(sequence);
    }
  }

  /** @param prefetch messages that may be unacknowledged at once */
  async consume(
    queue: string,
    prefetch: number,
    take: (message: AMQPMessage) => void,
  ): Promise<void> {
    const channel = await this.channel();
    await channel.basicQos(prefetch);
    const consumer = await channel.basicConsume(queue, { noAck: false }, take);
    // The queue was deleted, or the broker closes the channel: all begins afresh.
    const ended = (why: unknown): void =>
      this.cut(`"${queue}" is not consumed any more: ${saidBy(why)}`);
    consumer.wait().then(ended, ended);
  }

  /** A round trip. @throws Error where the connection is dead without having said so */
  async probe(): Promise<void> {
    const trip = this.#client.channel().then((channel) => channel.close());
    await within(trip, CONNECT_PATIENCE, "RabbitMQ does not answer any more");
  }

  cut(reason: string): void {
    this.#client.cut(reason);
  }

  async close(): Promise<void> {
    try {
      await within(this.#client.close(), 2_000, "no goodbye");
    } catch {
      this.cut("closed");
    }
  }
}
