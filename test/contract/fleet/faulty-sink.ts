import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Try } from "../other-side.ts";

/** What becomes of a request: refused, taken though the sender never hears of it, taken late, or taken. */
export type Fate = "refuse" | "forget" | "slow" | "take" | "hang";

const SLOW = 150;
const LOOK_AGAIN = 50;

/** Who or what is meant by a request, as far as it is a message. */
export type Read = (path: string, headers: IncomingMessage["headers"], body: string) => Try | null;

/**
 * An HTTP service outside of the runtime that does with each message as the test says. What it takes it
 * notes, or hands on to another service.
 */
export class FaultySink {
  readonly taken: { path: string; attempt: Try }[] = [];
  readonly fates = new Map<Fate, number>();
  fateOf: (path: string, attempt: Try) => Fate = () => "take";
  readonly #read: Read;
  readonly #behind: URL | undefined;
  readonly #server = createServer((incoming, response) => void this.#take(incoming, response));

  constructor(read: Read, behind?: URL) {
    this.#read = read;
    this.#behind = behind;
  }

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #take(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = incoming.url ?? "";
    let body = "";
    for await (const chunk of incoming) body += String(chunk);
    const attempt = this.#read(path, incoming.headers, body);
    const again = (): Fate => (attempt === null ? "take" : this.fateOf(path, attempt));
    let fate = again();
    if (attempt !== null) this.fates.set(fate, (this.fates.get(fate) ?? 0) + 1);
    while (fate === "hang" && !response.destroyed) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN));
      fate = again();
    }
    // Who waited for an answer has given up.
    if (response.destroyed) return;
    if (fate === "refuse") {
      response.writeHead(503).end("not now");
      return;
    }
    if (fate === "slow") await new Promise((resolve) => setTimeout(resolve, SLOW));
    const answer =
      this.#behind === undefined
        ? { status: 200, text: "" }
        : await handOn(this.#behind, incoming, body);
    if (attempt !== null) this.taken.push({ path, attempt });
    if (fate === "forget") incoming.socket.destroy();
    else response.writeHead(answer.status).end(answer.text);
  }
}

/** With Node's own client: `fetch` would write the path otherwise. */
async function handOn(behind: URL, { method, url, headers }: IncomingMessage, body: string) {
  const { hostname, port } = behind;
  const { host: _, "transfer-encoding": __, ...kept } = headers;
  const length = { "content-length": String(Buffer.byteLength(body)) };
  const outgoing = request({ hostname, port, method, path: url, headers: { ...kept, ...length } });
  outgoing.end(body);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  let text = "";
  for await (const chunk of answer) text += String(chunk);
  return { status: answer.statusCode ?? 500, text };
}
