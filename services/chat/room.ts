import { DurableObject } from "cloudflare:workers";
import { nameOf } from "../../src/contract/address.ts";
import { AlarmClock } from "../../src/contract/alarm-clock.ts";
import { log } from "../../src/contract/log.ts";
import { problem, ProblemError, refusal, type Problem } from "../../src/contract/problem.ts";
import { UsedTickets } from "../../src/instance/used-tickets.ts";
import type { ChatMessage, RoomSummary } from "../contracts/chat.ts";
import type { Reply } from "../contracts/reply.ts";
import { allowancesIn } from "../doors.ts";
import { replying } from "../replying.ts";
import { Archive } from "./archive.ts";
import { take, type Bucket } from "./bucket.ts";
import type { Person, Saying } from "./frames.ts";
import { Keeper } from "./keeper.ts";
import { MAX_MESSAGES, MAX_SOCKETS, SAYING } from "./limits.ts";
import { Listeners } from "./listeners.ts";
import { RoomStore, type Home } from "./room-store.ts";

/** Who asks to listen; the Worker has let them in. */
export interface Listening {
  home: Home;
  person: Person;
  /** Everything after this number. */
  after: number;
  /** When their credentials end, in milliseconds since the epoch. */
  until: number;
  ticket?: { id: string; expires: number };
  /** Among the tenant's sockets: to be given back when it closes. */
  place: string;
}

export interface Said {
  message: ChatMessage;
  /** False where it had been said before. */
  created: boolean;
}

/** The header in which the Worker says who wants to listen. */
export const LISTENING = "Durachart-Listening";

/** Subjects whose pace over HTTP is remembered. */
const MAX_PACES = 1_000;

/** The room of one order: one SQLite Durable Object. Its public methods are all that can be called. */
export class Room extends DurableObject {
  readonly #store: RoomStore;
  readonly #clock: AlarmClock;
  readonly #listeners: Listeners;
  readonly #keeper: Keeper;
  readonly #tickets: UsedTickets;
  /** How often subjects have said something by HTTP of late. */
  readonly #paces = new Map<string, Bucket>();

  constructor(context: DurableObjectState, env: unknown) {
    super(context, env as never);
    const { storage } = context;
    const store = new RoomStore(storage);
    const clock = new AlarmClock(context);
    const listeners = new Listeners(context, store, (home, place) => {
      this.#left();
      if (place !== undefined) context.waitUntil(allowancesIn(env).close(home.tenant, place));
    });
    this.#store = store;
    this.#clock = clock;
    this.#listeners = listeners;
    this.#keeper = new Keeper({ env, store, clock, storage, listeners });
    this.#tickets = new UsedTickets(store.tables);
    void context.blockConcurrencyWhile(() => this.#keeper.wakeUp());
  }

  /** Something said over HTTP. */
  say(home: Home, person: Person, saying: Saying): Promise<Reply<Said>> {
    return this.#replying(home, () => {
      const { subject } = person;
      const pace = take(this.#paces.get(subject) ?? null, SAYING, Date.now());
      if (pace === null) {
        const { burst, perSecond } = SAYING;
        const most = `at most ${perSecond} messages a second, ${burst} at once`;
        throw refusal("too-many-requests", `Too often: ${most}.`, { retryAfter: 1 });
      }
      this.#paces.delete(subject);
      if (this.#paces.size >= MAX_PACES) this.#paces.delete(this.#paces.keys().next().value!);
      this.#paces.set(subject, pace);
      const said = this.#say(home, person, saying);
      if (said.created) this.#listeners.deliver(said.message);
      return said;
    });
  }

  /** What was said after a number, and how far the numbers go. */
  history(
    home: Home,
    after: number,
    limit: number,
  ): Promise<Reply<{ messages: ChatMessage[]; last: number }>> {
    return this.#replying(home, () => ({
      messages: this.#store.after(after, limit),
      last: this.#store.head(),
    }));
  }

  /** At a glance: a closed room stays closed. */
  summary(home: Home): Promise<Reply<Pick<RoomSummary, "messages" | "last" | "present">>> {
    return replying("chat room", async () => {
      this.#check(home);
      const room = this.#store.room();
      const present = this.#listeners.present();
      if (room?.closed === 1) {
        return { messages: room.last, last: await this.#keeper.newest(room), present };
      }
      const head = this.#store.head();
      return { messages: head, last: this.#store.after(head - 1, 1)[0] ?? null, present };
    });
  }

  /** A listener's WebSocket. */
  override async fetch(request: Request): Promise<Response> {
    const asked = JSON.parse(request.headers.get(LISTENING) ?? "null") as Listening | null;
    if (asked === null) return new Response(null, { status: 404 });
    const reply = await this.#replying(asked.home, () => this.#listen(asked));
    if (reply.ok) return reply.value;
    return Response.json(reply.problem, { status: reply.problem.status });
  }

  override webSocketMessage(socket: WebSocket, frame: string | ArrayBuffer): void {
    const said = this.#listeners.received(socket, frame);
    if (said === null) return;
    const { home, person, saying } = said;
    const { id } = saying;
    try {
      const { message, created } = this.#say(home, person, saying);
      this.#listeners.reply(socket, { type: "accepted", id, seq: message.seq });
      if (created) this.#listeners.deliver(message);
    } catch (error) {
      this.#listeners.reply(socket, { type: "refused", id, problem: toProblem(error) });
    }
  }

  override webSocketClose(socket: WebSocket, code: number): void {
    // 1005 and 1006 mean "no code"; they must not be sent.
    socket.close(code === 1005 || code === 1006 ? 1000 : code);
    this.#listeners.gone(socket);
  }

  override webSocketError(socket: WebSocket): void {
    this.#listeners.gone(socket);
  }

  override alarm(): Promise<void> {
    return this.#keeper.ring();
  }

  /** One transaction: the message, its number, the time for D1, the alarm. */
  #say(home: Home, person: Person, { id, text }: Saying): Said {
    const known = this.#store.find(person.subject, id);
    if (known !== null) {
      if (known.text === text) return { message: known, created: false };
      const detail = `You said something else under the id "${id}". Use a new one for each message.`;
      throw refusal("key-reused", detail, { field: "id" });
    }
    // Its numbers would begin again. Nobody has a closed room open; this is not to depend on it.
    if (this.#store.room()?.closed === 1) {
      throw refusal("overloaded", "The room is being opened. Try again.");
    }
    const head = this.#store.head();
    if (head >= MAX_MESSAGES) {
      throw refusal(
        "room-full",
        `The room has its ${MAX_MESSAGES} messages; nothing more is taken.`,
      );
    }
    const at = new Date().toISOString();
    const message: ChatMessage = { seq: head + 1, id, from: person, text, at };
    try {
      this.#clock.transact(() => this.#clock.noLaterThan(this.#store.append(home, message)));
    } catch (error) {
      this.#store.tables.forget();
      throw error;
    }
    return { message, created: true };
  }

  #listen({ home, person, after, until, ticket, place }: Listening): Response {
    const head = this.#store.head();
    if (after > head) {
      const detail = `after is ${after}, but the room has ${head} messages.`;
      throw refusal("bad-parameter", detail, { field: "after" });
    }
    if (this.#listeners.count() >= MAX_SOCKETS) {
      throw refusal("too-many-sockets", `It has ${MAX_SOCKETS} listeners. Close some first.`);
    }
    if (until <= Date.now()) throw refusal("unauthenticated", "The token has ended.");
    if (ticket !== undefined) this.#tickets.use(ticket, Date.now());
    const response = this.#listeners.accept(home, person, { until, after, place });
    this.#clock.noLaterThan(this.#keeper.due());
    return response;
  }

  #left(): void {
    if (this.#listeners.count() === 0) this.#store.left(Date.now());
    this.#listeners.presenceMayDiffer();
    this.#clock.noLaterThan(this.#keeper.due());
  }

  /** The room open, then the work at once: nothing comes in between. */
  #replying<Value>(home: Home, work: () => Value): Promise<Reply<Value>> {
    return replying("chat room", async () => {
      this.#check(home);
      await this.#keeper.open();
      return work();
    });
  }

  /**
   * The Worker found this object by its name; the object makes sure that it is the one meant, and that what
   * is said here has somewhere to go.
   */
  #check(home: Home): void {
    const { tenant, jurisdiction, workflow, id } = home;
    const own = this.ctx.id;
    const room = this.#store.room();
    const stored = room === null ? undefined : nameOf(room.tenant, room.workflow, room.id);
    const isMine = [own.name, stored].every(
      (name) => name === undefined || name === nameOf(tenant, workflow, id),
    );
    const isThere = (own.jurisdiction ?? jurisdiction) === jurisdiction;
    if (!isMine || !isThere) throw refusal("not-found", `There is no ${workflow}/${id}.`);
    void new Archive(this.env, home);
  }
}

function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  log.error("A chat room failed unexpectedly", { error });
  return problem("internal", "Something went wrong inside. Try again; the log has the details.");
}
