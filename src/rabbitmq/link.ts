import { log } from "../contract/log.ts";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import { Connection } from "./connection.ts";
import { declareTopology } from "./declare.ts";
import { endpointOf } from "./endpoint.ts";
import type { Dial } from "./stream-client.ts";
import type { Topology } from "./topology.ts";
import { within } from "../contract/within.ts";

/** Milliseconds for the topology and the consumers; a broker in trouble may accept and then stall. */
const PREPARE_PATIENCE = 20_000;

/** Milliseconds between two looks whether the broker is back, on average, while somebody waits for it. */
const WAIT = 500;
const MAX_WAITS = 60;

export interface LinkOptions {
  /** `amqp://` or `amqps://` */
  url: string;
  dial: Dial;
  /** As the broker's management shows it. */
  name: string;
  /** Declared on each connection before anything else. */
  topology: Topology;
  consumers: readonly {
    queue: string;
    prefetch: number;
    take: (connection: Connection, message: AMQPMessage) => void;
  }[];
  /** A connection that was there is gone. */
  onLost: (reason: Error) => void;
}

/** A place that has at most one connection, with its consumers, and gets another when it is lost. */
export class Link {
  readonly #options: LinkOptions;
  #connection: Promise<Connection> | undefined;
  #waiting: Promise<Connection> | undefined;

  constructor(options: LinkOptions) {
    this.#options = options;
  }

  /** The connection; whoever asks while it is being made waits for the same one. */
  connected(): Promise<Connection> {
    this.#connection ??= this.#open();
    return this.#connection;
  }

  /**
   * The connection, waited for while the broker is away: a restart should cost nobody a try. Whoever
   * waits is served in the order of asking.
   *
   * @throws Error where it stays away
   */
  patiently(): Promise<Connection> {
    this.#waiting ??= this.#waitForIt().finally(() => (this.#waiting = undefined));
    return this.#waiting;
  }

  async #waitForIt(): Promise<Connection> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.connected();
      } catch (error) {
        if (tries === MAX_WAITS) throw error;
        await new Promise((resolve) => setTimeout(resolve, WAIT * (0.5 + Math.random())));
      }
    }
  }

  /** Connected, and the other side answers. @throws Error where it is not to be had just now */
  async check(): Promise<void> {
    const connection = await this.connected();
    try {
      await connection.probe();
    } catch (error) {
      connection.cut(String(error));
      throw error;
    }
  }

  /** Ends the connection, if there is one; whoever asks for it again gets another. */
  async close(): Promise<void> {
    const connection = await this.#connection?.catch(() => undefined);
    await connection?.close();
  }

  async #open(): Promise<Connection> {
    const { url, dial, name, onLost } = this.#options;
    let connection: Connection | undefined;
    try {
      const opened = await Connection.open(endpointOf(url), dial, name);
      connection = opened;
      await within(
        this.#prepare(opened),
        PREPARE_PATIENCE,
        "RabbitMQ lets us in, but doesn't go on",
      );
      void opened.lost.then((reason) => {
        this.#connection = undefined;
        onLost(reason);
      });
      return opened;
    } catch (error) {
      connection?.cut("given up");
      this.#connection = undefined;
      throw error;
    }
  }

  async #prepare(connection: Connection): Promise<void> {
    const { topology, consumers } = this.#options;
    for (const { what, outcome, error } of await declareTopology(connection, topology)) {
      // What is there with other arguments may still do; what isn't there shows when it is used.
      if (outcome === "failed") log.warn(`RabbitMQ: ${what} could not be declared`, { error });
    }
    for (const { queue, prefetch, take } of consumers) {
      await connection.consume(queue, prefetch, (message) => take(connection, message));
    }
  }
}
