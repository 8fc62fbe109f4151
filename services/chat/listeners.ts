import { ProblemError } from "../../src/contract/problem.ts";
import { isAnswer, newMark } from "../../src/contract/mark.ts";
import type { ChatMessage } from "../contracts/chat.ts";
import { take, type Bucket } from "./bucket.ts";
import {
  idIn,
  readFrame,
  SUBPROTOCOL,
  type ClientFrame,
  type Person,
  type Saying,
  type ServerFrame,
} from "./frames.ts";
import {
  ASK_AFTER,
  FRAMES,
  MAX_FRAME,
  MAX_SILENCE,
  MAX_UNREAD,
  MAX_UNREADABLE,
  PAGE,
  SAYING,
  TYPING_EVERY,
} from "./limits.ts";
import type { Home } from "./room-store.ts";

/** RFC 6455, 7.4.1: what can't be taken; what breaks the rules; what is too big. */
const NO_TEXT = 1003;
const BROKE_RULES = 1008;
const TOO_BIG = 1009;
/** As the orchestrator's watchers are told (src/broadcast/watchers.ts). */
const TOO_SLOW = 4008;
const NOT_UNDERSTOOD = 4400;

const ENDED = "The token has ended: open another socket with a new one";

const UNREAD = "Too slow: over 1 MiB is unconfirmed. Reconnect with after=";

/** Milliseconds in which who comes and goes is told by one frame: many come at once. */
const PRESENCE_AFTER = 50;

/** The messages that are listened to. */
export interface Source {
  head(): number;
  after(seq: number, limit: number): ChatMessage[];
}

/** Kept with the socket over hibernation. */
interface Attachment extends Person {
  home: Home;
  /** When their credentials end, in milliseconds since the epoch. */
  until: number;
  /** Its place among the tenant's sockets; a socket of an older deployment doesn't say. */
  place?: string;
  since: number;
  /** The last number sent. */
  position: number;
  /** UTF-16 units sent since the listener last confirmed. */
  unread: number;
  /** The mark that it is to give back; false while it is asked for none. */
  asked: number | boolean;
  /** Since when it is sent nothing. */
  fullSince: number | null;
  says: Bucket | null;
  frames: Bucket | null;
  /** Frames in a row that could not be read. */
  unreadable: number;
  typedAt: number;
}

const attachmentOf = (socket: WebSocket) => socket.deserializeAttachment() as Attachment;

/**
 * Everybody who has a room open, on hibernatable WebSockets. The platform doesn't tell how much a socket has
 * yet to send, so a listener confirms what it has read, as the orchestrator's watchers do; one that doesn't
 * is left behind, then closed, and nobody waits for it.
 */
export class Listeners {
  readonly #context: DurableObjectState;
  readonly #source: Source;
  /** What all were told of who is there, as JSON; unknown after hibernation. */
  #shown: string | null = null;
  #isTelling = false;
  readonly #left: (home: Home, place: string | undefined) => void;

  /** @param left told of every socket that has ended, of some twice: whether the other side answers nobody knows */
  constructor(
    context: DurableObjectState,
    source: Source,
    left: (home: Home, place: string | undefined) => void,
  ) {
    this.#context = context;
    this.#source = source;
    this.#left = left;
    // Answered by the platform: a ping wakes nobody.
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  }

  count(): number {
    return this.#open().length;
  }

  /** When the next token ends with which a socket was opened; Infinity for never. */
  due(): number {
    return Math.min(...this.#open().map((socket) => attachmentOf(socket).until));
  }

  /** Who is there: one entry a subject and part, whoever came first before the others. */
  present(): Person[] {
    const found = new Map<string, Person & { since: number }>();
    for (const socket of this.#open()) {
      const { subject, part, since } = attachmentOf(socket);
      const key = `${part} ${subject}`;
      if ((found.get(key)?.since ?? Infinity) > since) found.set(key, { subject, part, since });
    }
    const inOrder = [...found].toSorted(
      ([one, a], [other, b]) => a.since - b.since || (one < other ? -1 : 1),
    );
    return inOrder.map(([, { subject, part }]) => ({ subject, part }));
  }

  /** Takes a listener in: everything after a number first, then all that is said. */
  accept(
    home: Home,
    person: Person,
    { until, after, place }: { until: number; after: number; place: string },
  ): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#context.acceptWebSocket(server);
    const attachment: Attachment = {
      ...person,
      ...{ home, until, place, since: Date.now(), position: after },
      ...{ unread: 0, asked: false, fullSince: null },
      ...{ says: null, frames: null, unreadable: 0, typedAt: 0 },
    };
    server.serializeAttachment(attachment);
    this.#pump(server, attachment);
    this.reply(server, { type: "presence", present: this.present() });
    this.presenceMayDiffer();
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "Sec-WebSocket-Protocol": SUBPROTOCOL },
    });
  }

  /** Brings every listener up to the newest message. */
  deliver(message: ChatMessage): void {
    const json = textOf({ type: "message", message });
    const now = Date.now();
    for (const socket of this.#open()) {
      const attachment = attachmentOf(socket);
      const { fullSince, until } = attachment;
      // The alarm that closes it may be late.
      if (until <= now) this.#end(socket, BROKE_RULES, ENDED);
      else if (fullSince !== null && now - fullSince > MAX_SILENCE) {
        this.#end(socket, TOO_SLOW, UNREAD);
      } else this.#pump(socket, attachment, { seq: message.seq, json });
    }
  }

  /**
   * A listener's frame.
   *
   * @returns what is to be said, and by whom; null where there is nothing more to do
   */
  received(
    socket: WebSocket,
    frame: string | ArrayBuffer,
  ): { home: Home; person: Person; saying: Saying } | null {
    const now = Date.now();
    const attachment = attachmentOf(socket);
    if (attachment.until <= now) return this.#end(socket, BROKE_RULES, ENDED);
    // What answers its own frames is more than it has read.
    if (attachment.unread >= 2 * MAX_UNREAD) return this.#end(socket, TOO_SLOW, UNREAD);
    const frames = take(attachment.frames, FRAMES, now);
    if (frames === null) return this.#end(socket, BROKE_RULES, "Too many frames");
    attachment.frames = frames;
    if (typeof frame !== "string") return this.#end(socket, NO_TEXT, "Send text");
    if (isLarge(frame)) return this.#end(socket, TOO_BIG, `More than ${MAX_FRAME} bytes`);
    const read = this.#read(socket, attachment, frame);
    if (read === null) return null;
    attachment.unreadable = 0;
    if (read.type === "confirm") {
      if (!isAnswer(attachment.asked, read.seq)) {
        socket.serializeAttachment(attachment);
        return null;
      }
      this.#pump(socket, { ...attachment, unread: 0, asked: false, fullSince: null });
      // Of who came and went meanwhile they may not have been told.
      if (attachment.unread >= MAX_UNREAD) {
        this.reply(socket, { type: "presence", present: this.present() });
      }
      return null;
    }
    if (read.type === "typing") {
      const isTold = now - attachment.typedAt >= TYPING_EVERY;
      socket.serializeAttachment(isTold ? { ...attachment, typedAt: now } : attachment);
      const { subject, part } = attachment;
      if (isTold) this.#tell({ type: "typing", from: { subject, part } }, socket);
      return null;
    }
    const says = take(attachment.says, SAYING, now);
    if (says === null) {
      const { burst, perSecond } = SAYING;
      const most = `${perSecond} messages a second, ${burst} at once`;
      return this.#end(socket, BROKE_RULES, `Too often: at most ${most}`);
    }
    socket.serializeAttachment({ ...attachment, says });
    const { home, subject, part } = attachment;
    return { home, person: { subject, part }, saying: { id: read.id, text: read.text } };
  }

  /** A socket has ended. */
  gone(socket: WebSocket): void {
    const { home, place } = attachmentOf(socket);
    this.#left(home, place);
  }

  /** To one socket alone. */
  reply(socket: WebSocket, frame: ServerFrame): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    const json = textOf(frame);
    socket.send(json);
    const attachment = attachmentOf(socket);
    this.#counted(socket, { ...attachment, unread: attachment.unread + json.length });
  }

  /** Closes those whose token has ended. */
  closeEnded(now: number): void {
    for (const socket of this.#open()) {
      if (attachmentOf(socket).until <= now) this.#end(socket, BROKE_RULES, ENDED);
    }
  }

  /** Somebody has come or gone: where that makes a difference, all are told. */
  presenceMayDiffer(): void {
    if (this.#isTelling) return;
    this.#isTelling = true;
    setTimeout(() => {
      this.#isTelling = false;
      const present = this.present();
      const shown = JSON.stringify(present);
      if (shown === this.#shown) return;
      this.#shown = shown;
      this.#tell({ type: "presence", present });
    }, PRESENCE_AFTER);
  }

  #open(): WebSocket[] {
    const sockets = this.#context.getWebSockets();
    return sockets.filter(({ readyState }) => readyState === WebSocket.OPEN);
  }

  #end(socket: WebSocket, code: number, reason: string): null {
    socket.close(code, reason);
    this.gone(socket);
    return null;
  }

  #read(socket: WebSocket, attachment: Attachment, frame: string): ClientFrame | null {
    try {
      return readFrame(frame);
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      const id = idIn(frame);
      const { problem } = error;
      const unreadable = attachment.unreadable + 1;
      socket.serializeAttachment({ ...attachment, unreadable });
      this.reply(socket, { type: "refused", ...(id === undefined ? {} : { id }), problem });
      if (unreadable < MAX_UNREADABLE) return null;
      return this.#end(socket, NOT_UNDERSTOOD, "Send say, typing or confirm, as JSON");
    }
  }

  /** What is of the moment: who has much unread already goes without. */
  #tell(frame: ServerFrame, except?: WebSocket): void {
    const json = textOf(frame);
    for (const socket of this.#open()) {
      const attachment = attachmentOf(socket);
      if (socket === except || attachment.unread >= MAX_UNREAD) continue;
      socket.send(json);
      this.#counted(socket, { ...attachment, unread: attachment.unread + json.length });
    }
  }

  /** What has been sent, with the socket; and where it is much, the question how far it was read. */
  #counted(socket: WebSocket, attachment: Attachment): void {
    const isToAsk = attachment.unread > ASK_AFTER && attachment.asked === false;
    if (!isToAsk) return socket.serializeAttachment(attachment);
    const mark = newMark();
    socket.serializeAttachment({ ...attachment, asked: mark });
    if (socket.readyState === WebSocket.OPEN) socket.send(textOf({ type: "confirm", seq: mark }));
  }

  /** @param fresh the newest message: who is up to date needs no others */
  #pump(socket: WebSocket, attachment: Attachment, fresh?: { seq: number; json: string }): void {
    const next = { ...attachment };
    const head = this.#source.head();
    const send = (seq: number, json: string) => {
      socket.send(json);
      next.position = seq;
      // UTF-16 units stand for bytes: near enough for a limit, and free.
      next.unread += json.length;
    };
    while (next.position < head && next.unread < MAX_UNREAD) {
      if (fresh?.seq === next.position + 1) {
        send(fresh.seq, fresh.json);
        continue;
      }
      for (const message of this.#source.after(next.position, PAGE)) {
        if (next.unread >= MAX_UNREAD) break;
        send(message.seq, textOf({ type: "message", message }));
      }
    }
    if (next.position < head) next.fullSince ??= Date.now();
    this.#counted(socket, next);
  }
}

const textOf = (frame: ServerFrame): string => JSON.stringify(frame);

function isLarge(frame: string): boolean {
  // A UTF-16 unit is at most three bytes of UTF-8: only large ones need counting.
  if (frame.length * 3 <= MAX_FRAME) return false;
  return new TextEncoder().encode(frame).byteLength > MAX_FRAME;
}
