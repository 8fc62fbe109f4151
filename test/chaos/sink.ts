import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One arrival at the sink, whether or not its sender was told. */
export interface Delivery {
  path: string;
  /** The idempotency key: `{tenant}/{workflow}/{instance}/{effect}`. */
  id: string;
  key: string;
}

/** An HTTP service outside of everything, which is down, slow or forgetful at random. */
export class Sink {
  readonly deliveries: Delivery[] = [];
  /** Calls under way, by path. */
  readonly open = new Map<string, number>();
  readonly #random: () => number;
  readonly #server = createServer((request, response) => void this.#take(request, response));
  isFaulty = true;

  constructor(random: () => number) {
    this.#random = random;
  }

  async listen(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    this.#count(path, 1);
    response.on("close", () => this.#count(path, -1));
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const luck = this.isFaulty ? this.#random() : 1;
    if (luck < 0.02) {
      response.writeHead(503).end();
      return;
    }
    if (luck < 0.025) return; // It hangs; the caller's patience ends it.
    const { id, body } = JSON.parse(text) as { id: string; body: { key: string } };
    await new Promise((resolve) => setTimeout(resolve, this.#random() * 12));
    this.deliveries.push({ path, id, key: body.key });
    // Taken, and the sender never learns of it.
    if (luck < 0.035) request.socket.destroy();
    else response.writeHead(200).end();
  }

  #count(path: string, change: number): void {
    this.open.set(path, (this.open.get(path) ?? 0) + change);
  }
}
