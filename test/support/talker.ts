import type { ServerFrame } from "../../services/chat/frames.ts";
import type { ChatMessage } from "../../services/contracts/chat.ts";
import { eventually } from "./eventually.ts";

/** Somebody in an order's room, by a WebSocket through the gateway. */
export class Talker {
  readonly frames: ServerFrame[] = [];
  /** When each frame came, in milliseconds. */
  readonly times: number[] = [];
  readonly socket: WebSocket;

  /** @param shop the gateway's address */
  constructor(
    shop: string,
    order: string,
    {
      token,
      query = "",
      headers = {},
    }: {
      token?: string;
      query?: string;
      headers?: Record<string, string>;
    },
  ) {
    const url = new URL(`/api/chat/orders/${order}/stream?${query}`, shop);
    url.protocol = "ws:";
    const credentials = token === undefined ? {} : { Authorization: `Bearer ${token}` };
    // Node's own takes headers, which the type of browsers lacks.
    const options = { headers: { ...credentials, ...headers }, protocols: ["durachart.chat"] };
    this.socket = new WebSocket(url.href, options as unknown as string[]);
    this.socket.addEventListener("message", ({ data }) => {
      this.times.push(performance.now());
      const frame = JSON.parse(String(data)) as ServerFrame;
      this.frames.push(frame);
      if (frame.type === "confirm") this.socket.send(JSON.stringify(frame));
    });
  }

  async open(): Promise<this> {
    await new Promise((resolve, reject) => {
      this.socket.addEventListener("open", resolve);
      this.socket.addEventListener("error", () => reject(new Error("It was refused")));
    });
    return this;
  }

  get messages(): ChatMessage[] {
    return this.frames.flatMap((frame) => (frame.type === "message" ? [frame.message] : []));
  }

  say(id: string, text = id): void {
    this.socket.send(JSON.stringify({ type: "say", id, text }));
  }

  got(count: number): Promise<unknown> {
    return eventually(
      () => this.messages.length,
      (length) => length >= count,
    );
  }
}
