import { AMQPBaseClient } from "@cloudamqp/amqp-client/amqp-base-client";
import { AMQPChannel } from "@cloudamqp/amqp-client/amqp-channel";
import { AMQPView } from "@cloudamqp/amqp-client/amqp-view";
import type { Endpoint } from "./endpoint.ts";

/** A TCP or TLS connection as streams: what Workers have, and Node too. */
export interface Wire {
  readable: ReadableStream<Uint8Array>;
  writable: WritableStream<Uint8Array>;
  close(): void;
}

export type Dial = (endpoint: Endpoint) => Wire;

/** Seconds; the broker speaks at least twice in this time, and so do we. */
const HEARTBEAT = 10;

/** What RabbitMQ offers by default. */
const FRAME_MAX = 131_072;

/** Type, channel and size before each frame, its end mark behind it. */
const FRAME_HEADER = 7;

/**
 * `@cloudamqp/amqp-client` over streams. Its own client for sockets needs Node's `net`, which a Worker
 * has only with a flag that all users of the library would have to set.
 */
export class StreamClient extends AMQPBaseClient {
  readonly #endpoint: Endpoint;
  readonly #dial: Dial;
  #wire: Wire | undefined;
  #writer: WritableStreamDefaultWriter<Uint8Array> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  #lastRead = 0;
  #rest: Uint8Array = new Uint8Array();

  constructor(endpoint: Endpoint, dial: Dial, name: string) {
    const { vhost, username, password } = endpoint;
    super(vhost, username, password, name, "durachart", FRAME_MAX, HEARTBEAT);
    this.#endpoint = endpoint;
    this.#dial = dial;
    // Whoever waits for something is told by a rejection, everybody by `ondisconnect`.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the library has no other way
    this.onerror = () => {};
  }

  override connect(): Promise<AMQPBaseClient> {
    this.channels = [new AMQPChannel(this, 0)];
    return new Promise((resolve, reject) => {
      this.connectPromise = [resolve, reject];
      this.#wire = this.#dial(this.#endpoint);
      this.#writer = this.#wire.writable.getWriter();
      this.#writer.closed.catch((error: unknown) => this.#end(error));
      this.#lastRead = Date.now();
      this.#watch = setInterval(() => this.#checkHeartbeat(), HEARTBEAT * 500);
      void this.#read(this.#wire.readable);
      // AMQP 0-9-1, section 4.2.2: the protocol header.
      void this.send(new Uint8Array([65, 77, 81, 80, 0, 0, 9, 1]));
    });
  }

  /** Never rejects: who waits for an answer is told when the connection ends. */
  override send(bytes: Uint8Array): Promise<void> {
    this.#writer?.write(bytes).catch((error: unknown) => this.#end(error));
    return Promise.resolve();
  }

  /** Ends it without a goodbye. */
  cut(reason: string): void {
    this.#end(new Error(reason));
  }

  protected override closeSocket(): void {
    this.#end(new Error("The connection to RabbitMQ was closed"));
  }

  #checkHeartbeat(): void {
    if (Date.now() - this.#lastRead > HEARTBEAT * 2_000) {
      this.cut(`RabbitMQ was silent for ${HEARTBEAT * 2} s`);
    }
  }

  async #read(readable: ReadableStream<Uint8Array>): Promise<void> {
    try {
      const reader = readable.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        this.#lastRead = Date.now();
        this.#take(value);
      }
      this.#end(new Error("RabbitMQ has closed the connection"));
    } catch (error) {
      this.#end(error);
    }
  }

  /** A read holds any part of a frame, or many. */
  #take(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#rest.byteLength > 0) {
      bytes = new Uint8Array(this.#rest.byteLength + chunk.byteLength);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.byteLength);
    }
    let position = 0;
    while (bytes.byteLength - position >= FRAME_HEADER) {
      const view = new DataView(bytes.buffer, bytes.byteOffset + position);
      const size = FRAME_HEADER + view.getUint32(3) + 1;
      if (bytes.byteLength - position < size) break;
      const { buffer, byteOffset } = bytes;
      this.parseFrames(new AMQPView(buffer as ArrayBuffer, byteOffset + position, size));
      position += size;
    }
    this.#rest = bytes.subarray(position);
  }

  #end(reason: unknown): void {
    const wire = this.#wire;
    if (wire === undefined) return;
    this.#wire = undefined;
    this.#writer = undefined;
    clearInterval(this.#watch);
    this.closed = true;
    const error = reason instanceof Error ? reason : new Error(String(reason));
    for (const channel of this.channels) channel?.setClosed(error);
    const [, reject] = this.connectPromise ?? [];
    delete this.connectPromise;
    reject?.(error);
    const [closed] = this.closePromise ?? [];
    delete this.closePromise;
    closed?.();
    wire.close();
    this.ondisconnect?.(error);
  }
}
