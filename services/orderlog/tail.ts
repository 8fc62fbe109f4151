import { DurableObject } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { isAnswer, newMark } from "../../src/contract/mark.ts";
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
  /** UTF-16 units sent since it last confirmed; a socket of an older deployment doesn't say. */
  unread?: number;
  /** The mark that it is to give back; false while it is asked for none. */
  asked?: number | false;
  /** Since when it is sent nothing. */
  fullSince?: number | null;
}

/** Followers of one realm at once. */
const MOST_FOLLOWERS = 100;
const PAGE = 200;
const ENDED = [1008, "The token has ended"] as const;
const TOO_SLOW = [4008, "Too slow: over 1 MiB is unconfirmed. Reconnect with after="] as const;

/** As a chat's listeners: after so many unconfirmed units it is asked, after so many sent nothing more … */
const ASK_AFTER = 128 * 1_024;
const MAX_UNREAD = 1_024 * 1_024;
/** … and when it has owed the answer for so long, in milliseconds, it is closed. */
const MAX_SILENCE = 10_000;

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

  /** Its answer to `{"confirm": mark}`: the same. */
  override webSocketMessage(socket: WebSocket, frame: string | ArrayBuffer): void {
    const follower = socket.deserializeAttachment() as Follower;
    const [, mark] = /^\{"confirm":(\d{1,10})\}$/.exec(frame as string) ?? [];
    if (mark === undefined || !isAnswer(follower.asked ?? false, Number(mark))) {
      return socket.close(1008, "Nothing is to be said here but what is asked for");
    }
    const read = { unread: 0, asked: false, fullSince: null } as const;
    socket.serializeAttachment({ ...follower, ...read } satisfies Follower);
    this.ctx.waitUntil(this.#readOn());
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
    const { whose, after, order, type, until, fullSince } = follower;
    if (typeof fullSince === "number") {
      if (Date.now() - fullSince > MAX_SILENCE) socket.close(...TOO_SLOW);
      return;
    }
    const filter = { order, type, after, limit: PAGE };
    const entries = await readLog(this.env.LOG, realmOfOwn(whose), filter);
    // The alarm that closes it may be late.
    if (until <= Date.now()) return socket.close(...ENDED);
    if (entries.length === 0 || socket.readyState !== WebSocket.OPEN) return;
    // Read once more: it may have confirmed meanwhile.
    const next = socket.deserializeAttachment() as Follower;
    for (const entry of entries) {
      if ((next.unread ?? 0) >= MAX_UNREAD) break;
      const json = JSON.stringify(entry);
      socket.send(json);
      next.after = entry.position;
      // They stand for bytes: near enough for a limit, and free.
      next.unread = (next.unread ?? 0) + json.length;
    }
    if ((next.unread ?? 0) > ASK_AFTER && typeof next.asked !== "number") {
      next.asked = newMark();
      socket.send(JSON.stringify({ confirm: next.asked }));
    }
    const isFull = next.after < entries.at(-1)!.position;
    if (isFull) next.fullSince = Date.now();
    socket.serializeAttachment(next);
    if (!isFull && entries.length === PAGE) this.#isPoked = true;
  }
}
