import { exports } from "cloudflare:workers";
import type { Caller } from "../../src/contract/caller.ts";
import type { JournalEntry, View } from "../../src/index.ts";
import { customer, tokenFor } from "./client.ts";

interface Message {
  specversion: string;
  id: string;
  source: string;
  subject: string;
  type: string;
  data: unknown;
}

async function bearer(as: Caller, lifetime: number): Promise<string> {
  const exp = Math.floor(Date.now() / 1_000) + lifetime;
  return `Bearer ${await tokenFor(as, { exp })}`;
}

/** A watcher as the tests see it. */
export class TestSocket {
  readonly messages: Message[] = [];
  readonly raw: string[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly protocol: string | null;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket, protocol: string | null) {
    this.#socket = socket;
    this.protocol = protocol;
    socket.addEventListener("message", ({ data }) => {
      const text = String(data);
      this.raw.push(text);
      if (text.startsWith("{")) this.messages.push(JSON.parse(text) as Message);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.closed = { code, reason };
    });
    socket.accept();
  }

  static async open(
    path: string,
    {
      as = customer,
      protocol = "cloudevents.json",
      lifetime = 300,
      headers = {},
    }: {
      as?: Caller | null;
      protocol?: string | null;
      /** Of the token, in seconds. */
      lifetime?: number;
      headers?: Record<string, string>;
    } = {},
  ): Promise<TestSocket> {
    const response = await exports.default.fetch(`https://durachart.test${path}`, {
      headers: {
        Upgrade: "websocket",
        ...(as === null ? {} : { Authorization: await bearer(as, lifetime) }),
        ...headers,
        ...(protocol === null ? {} : { "Sec-WebSocket-Protocol": protocol }),
      },
    });
    if (response.webSocket === null) throw new Error(`${response.status} ${await response.text()}`);
    return new TestSocket(response.webSocket, response.headers.get("sec-websocket-protocol"));
  }

  send(text: string | ArrayBuffer): void {
    this.#socket.send(text);
  }

  close(): void {
    this.#socket.close(1000, "bye");
  }

  get views(): View[] {
    return this.messages
      .filter(({ type }) => type === "durachart.view")
      .map(({ data }) => data as View);
  }

  get entries(): JournalEntry[] {
    return this.messages
      .filter(({ type }) => type === "durachart.transition")
      .map(({ data }) => data as JournalEntry);
  }

  get seqs(): number[] {
    return this.entries.map(({ seq }) => seq);
  }
}
