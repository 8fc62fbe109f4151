import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";

/** A webhook that came, whether or not its sender was told. */
export interface Receipt {
  /** `webhook-id`: the same on every repeat. */
  delivery: string;
  isSigned: boolean;
  /** The CloudEvent's. */
  event: { source: string; id: string; type: string; subject: string };
}

/** Somebody's HTTP service that refuses, is slow, hangs, and takes things without saying so. */
export class Receiver {
  readonly receipts: Receipt[] = [];
  readonly refused = { unavailable: 0, hung: 0, unacknowledged: 0 };
  isFaulty = true;
  secret = "";
  readonly #random: () => number;
  readonly #server = createServer((request, response) => void this.#take(request, response));

  constructor(random: () => number) {
    this.#random = random;
  }

  /** @returns its origin */
  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    try {
      for await (const chunk of request) body += String(chunk);
    } catch {
      return; // Its sender was killed while it spoke.
    }
    const luck = this.isFaulty ? this.#random() : 1;
    if (luck < 0.04) {
      this.refused.unavailable += 1;
      response.writeHead(503).end();
      return;
    }
    if (luck < 0.045) {
      this.refused.hung += 1;
      return; // The sender's patience ends it.
    }
    await new Promise((resolve) => setTimeout(resolve, this.#random() * (luck < 0.2 ? 400 : 15)));
    const headers = request.headers as Record<string, string>;
    this.receipts.push({
      delivery: headers["webhook-id"] ?? "",
      isSigned: this.#isSigned(body, headers),
      event: JSON.parse(body) as Receipt["event"],
    });
    // The first of all in any case, so that no run is without a repeat.
    if (luck < 0.08 || this.receipts.length === 1) {
      this.refused.unacknowledged += 1;
      request.socket.destroy();
    } else response.writeHead(204).end();
  }

  #isSigned(body: string, headers: Record<string, string>): boolean {
    try {
      new Webhook(this.secret).verify(body, headers);
      return true;
    } catch {
      return false;
    }
  }
}
