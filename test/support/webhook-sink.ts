import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One request that came, whole, whatever it was answered. */
export interface Arrival {
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** What a path answers: a status with headers, nothing for ever, or a connection that is cut. */
export type Behaviour =
  | { status: number; headers?: Record<string, string>; body?: string; after?: number }
  | "hang"
  | "cut";

/** Under it a test says what a path answers (`PUT`), and asks what has come there (`GET`). */
const CONTROL = "/control";

/** A receiver of webhooks, on a port of its own, that does at each path what it is told. */
export class WebhookSink {
  readonly arrivals: Arrival[] = [];
  /** Requests that are not answered yet, by path, and the most that there were. */
  readonly open = new Map<string, number>();
  readonly most = new Map<string, number>();
  readonly #behaviours = new Map<string, Behaviour>();
  #held: { path: string; response: ServerResponse }[] = [];
  readonly #server = createServer((request, response) => void this.#take(request, response));

  async listen(port = 0): Promise<string> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  answer(path: string, behaviour: Behaviour): void {
    this.#behaviours.set(path, behaviour);
  }

  /** Answers what hangs; at one path, where one is given. */
  release(only?: string): void {
    const isMeant = ({ path }: { path: string }) => only === undefined || path === only;
    const released = this.#held.filter(isMeant);
    this.#held = this.#held.filter((one) => !isMeant(one));
    for (const { response } of released) response.writeHead(200).end();
  }

  at(path: string): Arrival[] {
    return this.arrivals.filter((arrival) => arrival.path === path);
  }

  #control(method: string | undefined, path: string, body: string, response: ServerResponse): void {
    const controlled = path.slice(CONTROL.length);
    if (method === "PUT") this.answer(controlled, JSON.parse(body) as Behaviour);
    if (method === "PUT") this.release(controlled);
    response.writeHead(200).end(JSON.stringify(this.at(controlled)));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "";
    const open = (this.open.get(path) ?? 0) + 1;
    this.open.set(path, open);
    this.most.set(path, Math.max(open, this.most.get(path) ?? 0));
    response.on("close", () => this.open.set(path, this.open.get(path)! - 1));
    let body = "";
    for await (const chunk of request) body += String(chunk);
    if (path.startsWith(CONTROL)) return this.#control(request.method, path, body, response);
    this.arrivals.push({ path, body, headers: request.headers as Record<string, string> });
    const behaviour = this.#behaviours.get(path) ?? { status: 200 };
    if (behaviour === "hang") {
      this.#held.push({ path, response });
    } else if (behaviour === "cut") {
      request.socket.destroy();
    } else {
      await new Promise((resolve) => setTimeout(resolve, behaviour.after ?? 0));
      response.writeHead(behaviour.status, behaviour.headers).end(behaviour.body);
    }
  }
}
