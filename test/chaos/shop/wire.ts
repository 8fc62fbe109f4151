import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { DEAD } from "../../../src/rabbitmq/topology.ts";

/** AMQP 0-9-1: class and method of the frames that matter here. */
const methods = { "60.40": "publish", "60.60": "deliver", "60.80": "ack" } as const;

/** What a frame says: a client's `ack` acknowledges a delivery, the broker's confirms a publication. */
export type Said = "publish" | "confirm" | "deliver" | "ack";

/** What can be withheld: the frame, and all that its side says after it on that connection. */
export type Withheld = "publish" | "confirm" | "ack";

const METHOD = 1;
const FRAME_HEADER = 7;
const PROTOCOL_HEADER = 8;

interface Figures {
  /** Publications that have left their publisher, repeats too. */
  published: number;
  confirmed: number;
  /** Publications whose connection ended before their confirm came through. */
  unconfirmed: number;
  delivered: number;
  /** Of those, the ones that the broker itself says it has delivered before. */
  redelivered: number;
  acknowledged: number;
  /** Publications to where dead letters go: they are counted here, whatever becomes of them later. */
  dead: number;
}

/** A TCP proxy before a broker that reads along, and can withhold what one side says at the right moment. */
export class Wire {
  readonly figures: Figures = {
    ...{ published: 0, confirmed: 0, unconfirmed: 0 },
    ...{ delivered: 0, redelivered: 0, acknowledged: 0, dead: 0 },
  };
  /** How many frames were withheld at the moment. */
  withheld = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#join(client));
  readonly #target: number;
  #withholding: Withheld | null = null;

  constructor(target: number) {
    this.#target = target;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on; only ending the connections, or what they lead to, mends it. */
  withhold(what: Withheld): void {
    this.#withholding = what;
    this.withheld = 0;
  }

  /** Connections of before stay as they are: who has lost a frame has lost the thread. */
  passOn(): void {
    this.#withholding = null;
    for (const socket of this.#sockets) socket.destroy();
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #join(client: Socket): void {
    const broker = connect(this.#target, "127.0.0.1");
    const open = new Publications();
    for (const socket of [client, broker]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        this.figures.unconfirmed += open.close();
        client.destroy();
        broker.destroy();
      });
    }
    const up = new Frames(PROTOCOL_HEADER, (said, channel, frame) => {
      if (said === "publish") open.published(channel);
      if (said === "publish" && exchangeIn(frame) === DEAD) this.figures.dead += 1;
      return this.#passes(said);
    });
    const down = new Frames(0, (said, channel, frame) => {
      const heard = said === "ack" ? "confirm" : said;
      if (!this.#passes(heard)) return false;
      if (heard === "confirm") this.figures.confirmed += open.confirmed(channel, frame);
      if (heard === "deliver" && isRedelivered(frame)) this.figures.redelivered += 1;
      return true;
    });
    client.on("data", (chunk) => {
      for (const bytes of up.take(chunk)) broker.write(bytes);
    });
    broker.on("data", (chunk) => {
      for (const bytes of down.take(chunk)) client.write(bytes);
    });
  }

  #passes(said: Said): boolean {
    if (said === "publish") this.figures.published += 1;
    if (said === "deliver") this.figures.delivered += 1;
    if (said === "ack") this.figures.acknowledged += 1;
    if (said !== this.#withholding) return true;
    this.withheld += 1;
    return false;
  }
}

/** Cuts a stream into frames. From the first that doesn't pass, nothing more comes out. */
class Frames {
  #rest = Buffer.alloc(0);
  #skip: number;
  #isDumb = false;
  readonly #passes: (said: Said, channel: number, frame: Buffer) => boolean;

  /** @param skip bytes before the first frame */
  constructor(skip: number, passes: (said: Said, channel: number, frame: Buffer) => boolean) {
    this.#skip = skip;
    this.#passes = passes;
  }

  *take(chunk: Buffer): Generator<Buffer> {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    if (this.#skip > 0) {
      if (this.#rest.length < this.#skip) return;
      yield this.#cut(this.#skip);
      this.#skip = 0;
    }
    while (this.#rest.length >= FRAME_HEADER) {
      const size = FRAME_HEADER + this.#rest.readUInt32BE(3) + 1;
      if (this.#rest.length < size) return;
      const frame = this.#cut(size);
      const said = saidIn(frame);
      if (said !== undefined && !this.#passes(said, frame.readUInt16BE(1), frame)) {
        this.#isDumb = true;
      }
      if (!this.#isDumb) yield frame;
    }
  }

  #cut(size: number): Buffer {
    const bytes = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    return bytes;
  }
}

function saidIn(frame: Buffer): Said | undefined {
  if (frame[0] !== METHOD) return undefined;
  const method = `${frame.readUInt16BE(FRAME_HEADER)}.${frame.readUInt16BE(FRAME_HEADER + 2)}`;
  return methods[method as keyof typeof methods];
}

/** basic.deliver: consumer tag (short string), delivery tag (8 bytes), redelivered (1 bit). */
function isRedelivered(frame: Buffer): boolean {
  const tag = FRAME_HEADER + 4;
  return (frame[tag + 1 + frame[tag]! + 8]! & 1) === 1;
}

/** basic.publish: two reserved bytes, exchange (short string). */
function exchangeIn(frame: Buffer): string {
  const start = FRAME_HEADER + 6;
  return frame.toString("utf8", start + 1, start + 1 + frame[start]!);
}

/** What one connection has published, by channel, and what of it is confirmed. */
class Publications {
  readonly #count = new Map<number, number>();
  readonly #open = new Map<number, Set<number>>();

  published(channel: number): void {
    const tag = (this.#count.get(channel) ?? 0) + 1;
    this.#count.set(channel, tag);
    const open = this.#open.get(channel) ?? new Set();
    this.#open.set(channel, open.add(tag));
  }

  /** basic.ack: delivery tag (8 bytes), multiple (1 bit). @returns how many that confirms */
  confirmed(channel: number, frame: Buffer): number {
    const tag = Number(frame.readBigUInt64BE(FRAME_HEADER + 4));
    const isMultiple = (frame[FRAME_HEADER + 12]! & 1) === 1;
    const open = this.#open.get(channel) ?? new Set();
    const meant = [...open].filter((one) => one === tag || (isMultiple && one <= tag));
    for (const one of meant) open.delete(one);
    return meant.length;
  }

  /** @returns how many are not confirmed, once */
  close(): number {
    const left = [...this.#open.values()].reduce((sum, open) => sum + open.size, 0);
    this.#open.clear();
    return left;
  }
}
