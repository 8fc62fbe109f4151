import { DurableObject } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { realmOfOwn, type Whose } from "../../src/contract/realm.ts";
import { lastPosition, readLog, type LogFilter } from "./log.ts";

export interface TailEnv {
  LOG: D1Database;
}

/** What a follower wants, and how far it has it; survives hibernation with its socket. */
interface Follower extends Pick<LogFilter, "order" | "type"> {
  whose: Whose;
  after: number;
  /** When the token ends, in milliseconds since the epoch. */
  until: number;
}

/** Followers of one realm at once. */
const MOST_FOLLOWERS = 100;
const PAGE = 200;
const ENDED = [1008, "The token has ended"] as const;

/**
 * Shows a realm's log as it grows: one object a realm. It keeps nothing: it is poked when there is more, and
 * reads on from where each follower is, so that nothing is left out and nothing comes twice.
 */
export class Tail extends DurableObject<TailEnv> {
  #isReading = false;
  #isPoked = false;

  /** A WebSocket. Its request comes from the Worker, which has checked who is asking. */
  override async fetch(request: Request): Promise<Response> {
    const wanted = JSON.parse(request.headers.get("durachart-follower")!) as Follower & {
      after: number | null;
    };
    if (this.ctx.getWebSockets().length >= MOST_FOLLOWERS)
      return new Response(null, { status: 429 });
    const after = wanted.after ?? (await lastPosition(this.env.LOG, realmOfOwn(wanted.whose)));
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    server.serializeAttachment({ ...wanted, after } satisfies Follower);
    await this.#ringAt(wanted.until);
    this.ctx.waitUntil(this.#readOn());
    return new Response(null, { status: 101, webSocket: client });
  }

  /** There may be more. */
  poke(): void {
    if (this.ctx.getWebSockets().length > 0) this.ctx.waitUntil(this.#readOn());
  }

  override async alarm(): Promise<void> {
    const now = Date.now();
    let next = Infinity;
    for (const socket of this.ctx.getWebSockets()) {
      const { until } = socket.deserializeAttachment() as Follower;
      if (until <= now) socket.close(...ENDED);
      else next = Math.min(next, until);
    }
    if (next < Infinity) await this.ctx.storage.setAlarm(next);
  }

  override webSocketMessage(socket: WebSocket): void {
    socket.close(1008, "Nothing is to be said here");
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    // 1005 and the like stand for no code, and can't be sent.
    socket.close(code >= 3_000 || code === 1_000 ? code : 1_000);
  }

  /** Only ever earlier. */
  async #ringAt(time: number): Promise<void> {
    const set = await this.ctx.storage.getAlarm();
    if (set === null || time < set) await this.ctx.storage.setAlarm(time);
  }

  /** One reader at a time; who is poked meanwhile reads once more. */
  async #readOn(): Promise<void> {
    this.#isPoked = true;
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.#isPoked) {
        this.#isPoked = false;
        // Until all are done: one that is still read for must not be read for once more beside it.
        const told = await Promise.allSettled(
          this.ctx.getWebSockets().map((socket) => this.#bring(socket)),
        );
        for (const result of told) {
          if (result.status === "fulfilled") continue;
          // They miss nothing: whoever is poked next reads on from where each is.
          log.error("A follower of the log could not be told", { error: result.reason });
        }
      }
    } finally {
      this.#isReading = false;
    }
  }

  async #bring(socket: WebSocket): Promise<void> {
    const follower = socket.deserializeAttachment() as Follower;
    const { whose, after, order, type, until } = follower;
    const filter = { order, type, after, limit: PAGE };
    const entries = await readLog(this.env.LOG, realmOfOwn(whose), filter);
    // The alarm that closes it may be late.
    if (until <= Date.now()) return socket.close(...ENDED);
    const last = entries.at(-1);
    if (last === undefined || socket.readyState !== WebSocket.OPEN) return;
    for (const entry of entries) socket.send(JSON.stringify(entry));
    socket.serializeAttachment({ ...follower, after: last.position } satisfies Follower);
    if (entries.length === PAGE) this.#isPoked = true;
  }
}
