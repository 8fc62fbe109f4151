import { connect, type Socket } from "node:net";

/** One HTTP request on the wire: a client is given the next one whenever it is free. */
export type NextRequest = () => string;

export interface Figures {
  perSecond: number;
  p50: number;
  p99: number;
}

/**
 * One keep-alive connection. It is written by hand so that the server, and not its client, is what
 * is measured: on two cores a full HTTP client would be the slower of the two.
 */
class Connection {
  readonly #socket: Socket;
  #received = "";
  #resolve: (() => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.setNoDelay(true);
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (chunk: string) => this.#take(chunk));
    this.#socket.on("error", (error) => this.#reject?.(error));
    this.#socket.on("close", () => this.#reject?.(new Error("The server hung up")));
  }

  /** Resolves when the whole answer is here; rejects unless its status is 2xx. */
  send(request: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      this.#socket.write(request);
    });
  }

  close(): void {
    this.#reject = undefined;
    this.#socket.destroy();
  }

  #take(chunk: string): void {
    this.#received += chunk;
    const end = this.#received.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#received.slice(0, end);
    const length = /content-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      this.#reject?.(new Error(`No Content-Length in: ${head}`));
      return;
    }
    if (this.#received.length < end + 4 + Number(length)) return;
    const whole = this.#received;
    this.#received = "";
    if (head.startsWith("HTTP/1.1 2")) this.#resolve?.();
    else this.#reject?.(new Error(whole));
  }
}

/** Runs one closed-loop client for each source of requests, and looks at the last `measured` ms. */
export async function load(
  port: number,
  clients: readonly NextRequest[],
  { warmUp, measured }: { warmUp: number; measured: number },
): Promise<Figures> {
  const latencies: number[] = [];
  const from = performance.now() + warmUp;
  const until = from + measured;
  await Promise.all(
    clients.map(async (next) => {
      const connection = new Connection(port);
      for (let now = performance.now(); now < until;) {
        await connection.send(next());
        const after = performance.now();
        if (now >= from && after <= until) latencies.push(after - now);
        now = after;
      }
      connection.close();
    }),
  );
  const sorted = latencies.toSorted((a, b) => a - b);
  const percentile = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
  return {
    perSecond: Math.round(sorted.length / (measured / 1_000)),
    p50: percentile(0.5),
    p99: percentile(0.99),
  };
}

/** One client that tells how long each request took, in milliseconds. */
export class Timed {
  readonly #connection: Connection;

  constructor(port: number) {
    this.#connection = new Connection(port);
  }

  async send(request: string): Promise<number> {
    const began = performance.now();
    await this.#connection.send(request);
    return performance.now() - began;
  }

  close(): void {
    this.#connection.close();
  }
}

/** Sends requests one after another. */
export async function sendAll(port: number, requests: readonly string[]): Promise<void> {
  const connection = new Connection(port);
  for (const request of requests) await connection.send(request);
  connection.close();
}

export function httpRequest(
  path: string,
  token: string,
  body: string,
  headers: Record<string, string> = {},
  method = "POST",
): string {
  const lines = Object.entries({
    Host: "bench",
    Authorization: `Bearer ${token}`,
    "Content-Type": "application/json",
    "Content-Length": String(Buffer.byteLength(body)),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}
