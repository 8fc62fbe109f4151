import type { Caller } from "../contract/caller.ts";
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

/** RFC 6455 leaves 4000–4999 to applications. */
const TOO_SLOW = 4008;
const NOT_UNDERSTOOD = 4400;
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
  /** The last seq sent, in this epoch. */
  position: number;
  epoch: number;
  /** Bytes sent since the watcher last confirmed. */
  unread: number;
  asked: boolean;
  /** Since when it is sent nothing; milliseconds since the epoch. */
  fullSince: number | null;
}

/**
 * The watchers of one instance, on hibernatable WebSockets: they cost nothing while nothing happens.
 * The platform doesn't tell how much a socket has yet to send, so a watcher confirms what it has
 * read; one that doesn't is left behind, then closed, and nobody waits for it.
 */
export class Watchers {
  readonly #context: DurableObjectState;
  /** False only when there are none: asking the platform on every event would cost more than the event. */
  #mayExist: boolean;

  constructor(context: DurableObjectState) {
    this.#context = context;
    // Answered by the platform: a ping wakes nobody.
    context.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    this.#mayExist = context.getWebSockets().length > 0;
  }

  /** Takes a watcher in: the view first, then what came after `after`, then all that happens. */
  accept(
    source: Source,
    view: View,
    {
      caller,
      until,
      after,
      epoch = source.epoch,
    }: { caller: Caller; until: number; after: number | null; epoch?: number },
  ): Response {
    const { 0: client, 1: server } = new WebSocketPair();
    this.#context.acceptWebSocket(server);
    this.#mayExist = true;
    const first = viewMessage(view);
    server.send(first);
    // A position in a history that has begun again since says nothing: all of the new one follows.
    const isKnown = after !== null && epoch === source.epoch && after <= view.seq;
    const position = isKnown ? after : after === null ? view.seq : 0;
    this.#pump(server, source, {
      caller,
      until,
      position,
      epoch: source.epoch,
      unread: first.length,
      asked: false,
      fullSince: null,
    });
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
      const attachment = socket.deserializeAttachment() as Attachment;
      const { fullSince } = attachment;
      if (fullSince !== null && Date.now() - fullSince > MAX_SILENCE) {
        socket.close(TOO_SLOW, "Too slow: over 1 MiB is unconfirmed. Reconnect with after=");
        continue;
      }
      this.#pump(socket, source, attachment);
    }
  }

  /** There is nothing left to watch. */
  closeAll(): void {
    for (const socket of this.#context.getWebSockets()) {
      socket.close(ERASED, "The instance was erased");
    }
  }

  /**
   * A watcher's message: `confirm <seq>`, or a CloudEvent.
   *
   * @param take brings an event to the instance, and answers with its receipt
   */
  received(
    socket: WebSocket,
    message: string | ArrayBuffer,
    source: Source,
    take: (text: string, sender: { caller: Caller; until: number }) => string,
  ): void {
    const attachment = socket.deserializeAttachment() as Attachment;
    if (typeof message === "string" && message.startsWith("{")) {
      const { caller, until = 0 } = attachment;
      socket.send(take(message, { caller, until }));
      return;
    }
    if (typeof message !== "string" || !/^confirm \d{1,15}$/.test(message)) {
      socket.close(NOT_UNDERSTOOD, 'Send a CloudEvent in JSON, "ping", or "confirm <seq>"');
      return;
    }
    this.#pump(socket, source, { ...attachment, unread: 0, asked: false, fullSince: null });
  }

  #pump(socket: WebSocket, source: Source, attachment: Attachment): void {
    if (socket.readyState !== WebSocket.OPEN) return;
    const next = { ...attachment };
    if (next.epoch !== source.epoch) Object.assign(next, { epoch: source.epoch, position: 0 });
    while (next.position < source.head && next.unread < MAX_UNREAD_BYTES) {
      const page = source.read(next.position, PAGE, next.caller);
      if (page === null) {
        socket.close(NOT_YOURS, "It is not yours to watch any more");
        return;
      }
      if (page.length === 0) break;
      const [first] = page;
      if (first!.seq > next.position + 1) {
        // Never a gap without a word: what lies between is read by HTTP, as pages.
        socket.close(ARCHIVED, `Archived up to seq ${first!.seq - 1}: read /history, then after=`);
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
    if (next.unread > ASK_AFTER_BYTES && !next.asked) {
      socket.send(confirmMessage(source.subject, source.epoch, next.position, now));
      next.asked = true;
    }
    if (next.position < source.head) next.fullSince ??= now;
    socket.serializeAttachment(next);
  }
}
