import type { Caller } from "../contract/caller.ts";
import { isAnswer, newMark } from "../contract/mark.ts";
import type { JournalEntry, View } from "../contract/view.ts";
import { confirmMessage, transitionMessage, viewMessage, type Subject } from "./messages.ts";

/** The subprotocol of the CloudEvents WebSocket binding, JSON format. */
export const SUBPROTOCOL = "cloudevents.json";

/** After so many unconfirmed bytes a watcher is asked how far it has read … */
const ASK_AFTER_BYTES = 128 * 1024;
/** … after so many it is sent nothing more until it answers … */
const MAX_UNREAD_BYTES = 1024 * 1024;
/** … and when it has owed that answer for so long, in milliseconds, it is closed. */
const MAX_SILENCE = 10_000;

/** Frames that a watcher may send in so many milliseconds; answered pings are the platform's, and not counted. */
const MAX_FRAMES = 200;
const FRAMES_WITHIN = 10_000;

/** RFC 6455, 7.4.1: what can't be taken; what breaks the rules; what is too big. */
const NO_TEXT = 1003;
const TOO_OFTEN = 1008;
const TOO_BIG = 1009;
/** RFC 6455 leaves 4000–4999 to applications. */
const TOO_SLOW = 4008;
const NOT_UNDERSTOOD = 4400;
const TOKEN_ENDED = 4401;
const ARCHIVED = 4416;
const ERASED = 4410;
const NOT_YOURS = 4403;

/** Entries read from the journal at a time while a watcher catches up. */
const PAGE = 200;

/** The journal that is watched. */
export interface Source {
  subject: Subject;
  epoch: number;
  /** The newest seq. */
  head: number;
  /** What the caller may see of it; null where that is nothing, any more. */
  read(after: number, limit: number, caller: Caller): JournalEntry[] | null;
}

/** Kept with the socket over hibernation. */
interface Attachment {
  /** Who watches: what they send counts as theirs. */
  caller: Caller;
  /** When their credentials end, in milliseconds since the epoch; a socket of an older deployment doesn't say. */
  until?: number;
  /** The place that the tenant's object keeps for it. */
  place?: string;
  /** Frames that it has sent since then. */
  frames?: number;
  framesSince?: number;
  /** The last seq sent, in this epoch. */
  position: number;
  epoch: number;
  /** Bytes sent since the watcher last confirmed. */
  unread: number;
  /** The mark that it is to give back; false while it is asked for none. */
  asked: number | boolean;
  /** Since when it is sent nothing; milliseconds since the epoch. */
  fullSince: number | null;
}

const ENDED = "The token has ended: open another socket with a new one";

/** What is asked by who wants to watch. */
interface Watching {
  caller: Caller;
  until: number;
  after: number | null;
  epoch?: number;
  socket: string;
}

type Released = (caller: Caller, place: string) => void;

/** A socket that is closing already has nothing to be closed for. */
function endOf(socket: WebSocket): number {
  if (socket.readyState !== WebSocket.OPEN) return Infinity;
  return (socket.deserializeAttachment() as Attachment).until ?? Infinity;
}

/** One more frame. */
function counted(attachment: Attachment, now: number): Attachment {
  const { frames = 0, framesSince = 0 } = attachment;
  if (now - framesSince >= FRAMES_WITHIN) return { ...attachment, frames: 1, framesSince: now };
  return { ...attachment, frames: frames + 1 };
}

/**
 * The watchers of one instance, on hibernatable WebSockets: they cost nothing while nothing happens.
 * The platform doesn't tell how much a socket has yet to send, so a watcher confirms what it has
 * read; one that doesn't is left behind, then closed, and nobody waits for it.
 */
export class Watchers {
  readonly #context: DurableObjectState;
  readonly #released: Released;
  /** When the next is to be closed; read from the sockets when first asked for. */
  #nextEnd: number | undefined;
  /** False only when there are none: asking the platform on every event would cost more than the event. */
  #mayExist: boolean;

  /** @param released told of every socket that has ended */
  constructor(context: DurableObjectState, released: Released = () => {}) {
    this.#context = context;
    this.#released = released;
    // Answered by the platform: a ping wakes nobody.
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#mayExist = context.getWebSockets().length > 0;
  }

  /** Takes a watcher in: the view first, then what came after `after`, then all that happens. */
  accept(
    source: Source,
    view: View,
    { caller, until, after, socket: place, epoch = source.epoch }: Watching,
  ): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#context.acceptWebSocket(server);
    this.#mayExist = true;
    this.#nextEnd = Math.min(this.due(), until);
    const first = viewMessage(view);
    server.send(first);
    // A position in a history that has begun again since says nothing: all of the new one follows.
    const isKnown = after !== null && epoch === source.epoch && after <= view.seq;
    const position = isKnown ? after : after === null ? view.seq : 0;
    const attachment: Attachment = {
      ...{ caller, until, place },
      position,
      epoch: source.epoch,
      unread: first.length,
      asked: false,
      fullSince: null,
    };
    server.serializeAttachment(attachment);
    this.#pump(server, source, attachment);
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "Sec-WebSocket-Protocol": SUBPROTOCOL },
    });
  }

  /** Brings every watcher up to the head. */
  broadcast(source: Source): void {
    if (!this.#mayExist) return;
    const sockets = this.#context.getWebSockets();
    this.#mayExist = sockets.length > 0;
    for (const socket of sockets) {
      // One that has yet to answer that it is closed has its place given back already.
      if (socket.readyState !== WebSocket.OPEN) continue;
      const attachment = socket.deserializeAttachment() as Attachment;
      const { fullSince, until = Infinity } = attachment;
      // The alarm that closes it may be late.
      if (until <= Date.now()) {
        this.#end(socket, TOKEN_ENDED, ENDED);
        continue;
      }
      if (fullSince !== null && Date.now() - fullSince > MAX_SILENCE) {
        this.#end(socket, TOO_SLOW, "Too slow: over 1 MiB is unconfirmed. Reconnect with after=");
        continue;
      }
      this.#pump(socket, source, attachment);
    }
  }

  /** There is nothing left to watch. */
  closeAll(): void {
    for (const socket of this.#context.getWebSockets()) {
      this.#end(socket, ERASED, "The instance was erased");
    }
  }

  /**
   * A watcher's message: `confirm <mark>`, or a CloudEvent.
   *
   * @param mostBytes of a message
   * @returns the event, to be brought to the instance, and whose it is; null where there is none
   */
  received(
    socket: WebSocket,
    message: string | ArrayBuffer,
    source: Source,
    mostBytes: number,
  ): { text: string; caller: Caller } | null {
    const attachment = counted(socket.deserializeAttachment() as Attachment, Date.now());
    const { caller, until = 0, frames = 0 } = attachment;
    if (until <= Date.now()) return this.#end(socket, TOKEN_ENDED, ENDED);
    if (frames > MAX_FRAMES) {
      const most = `${MAX_FRAMES} messages in ${FRAMES_WITHIN / 1_000} s`;
      return this.#end(socket, TOO_OFTEN, `More than ${most}`);
    }
    if (typeof message !== "string") return this.#end(socket, NO_TEXT, "Send text");
    // A UTF-16 unit is at most three bytes of UTF-8: only large ones need counting.
    const isBig = message.length * 3 > mostBytes;
    if (isBig && new TextEncoder().encode(message).byteLength > mostBytes) {
      return this.#end(socket, TOO_BIG, `More than ${mostBytes} bytes`);
    }
    if (message.startsWith("{")) {
      socket.serializeAttachment(attachment);
      return { text: message, caller };
    }
    if (!/^confirm \d{1,15}$/.test(message)) {
      const what = 'Send a CloudEvent in JSON, "ping", or "confirm <seq>"';
      return this.#end(socket, NOT_UNDERSTOOD, what);
    }
    const isConfirmed = isAnswer(attachment.asked, Number(message.slice("confirm ".length)));
    const read = isConfirmed ? { unread: 0, asked: false, fullSince: null } : {};
    this.#pump(socket, source, { ...attachment, ...read });
    return null;
  }

  /** How many there are. */
  get count(): number {
    return this.#mayExist ? this.#context.getWebSockets().length : 0;
  }

  /** When the next token ends with which a socket was opened; Infinity for never. */
  due(): number {
    if (this.#nextEnd === undefined) {
      const sockets = this.#mayExist ? this.#context.getWebSockets() : [];
      this.#nextEnd = Math.min(...sockets.map((socket) => endOf(socket)));
    }
    return this.#nextEnd;
  }

  /** Closes those whose token has ended. */
  closeEnded(now: number): void {
    if (this.due() > now) return;
    this.#nextEnd = undefined;
    for (const socket of this.#context.getWebSockets()) {
      if (endOf(socket) <= now) this.#end(socket, TOKEN_ENDED, ENDED);
    }
  }

  /** A socket has ended, whoever has ended it. */
  ended(socket: WebSocket): void {
    const { caller, place } = socket.deserializeAttachment() as Attachment;
    if (place !== undefined) this.#released(caller, place);
  }

  /** The platform tells of the close when the other side has answered it: perhaps never. */
  #end(socket: WebSocket, code: number, reason: string): null {
    socket.close(code, reason);
    this.ended(socket);
    return null;
  }

  #pump(socket: WebSocket, source: Source, attachment: Attachment): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    const next = { ...attachment };
    if (next.epoch !== source.epoch) Object.assign(next, { epoch: source.epoch, position: 0 });
    while (next.position < source.head && next.unread < MAX_UNREAD_BYTES) {
      const page = source.read(next.position, PAGE, next.caller);
      if (page === null) {
        this.#end(socket, NOT_YOURS, "It is not yours to watch any more");
        return;
      }
      if (page.length === 0) break;
      const [first] = page;
      if (first!.seq > next.position + 1) {
        // Never a gap without a word: what lies between is read by HTTP, as pages.
        this.#end(
          socket,
          ARCHIVED,
          `Archived up to seq ${first!.seq - 1}: read /history, then after=`,
        );
        return;
      }
      for (const entry of page) {
        if (next.unread >= MAX_UNREAD_BYTES) break;
        const message = transitionMessage(source.subject, entry);
        socket.send(message);
        next.position = entry.seq;
        // UTF-16 units stand for bytes: near enough for a limit, and free.
        next.unread += message.length;
      }
    }
    const now = Date.now();
    if (next.unread > ASK_AFTER_BYTES && next.asked === false) {
      const mark = newMark();
      const id = `${source.epoch}-${next.position}`;
      socket.send(confirmMessage(source.subject, id, mark, now));
      next.asked = mark;
    }
    if (next.position < source.head) next.fullSince ??= now;
    socket.serializeAttachment(next);
  }
}
