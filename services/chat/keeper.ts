import type { AlarmClock } from "../../src/contract/alarm-clock.ts";
import { log } from "../../src/contract/log.ts";
import { ProblemError, refusal } from "../../src/contract/problem.ts";
import type { ChatMessage } from "../contracts/chat.ts";
import { Archive } from "./archive.ts";
import { BATCH, IDLE, PAGE } from "./limits.ts";
import type { Home, RoomRow, RoomStore } from "./room-store.ts";

/** Batches that one alarm writes; what is left is for the next. */
const MAX_BATCHES = 20;
/** How long D1 is left alone that could not be reached: from this, doubled each time, to that. Milliseconds. */
const [FIRST_WAIT, LONGEST_WAIT] = [2_000, 300_000];
/** By how much clocks may differ when used tickets are forgotten, in milliseconds. */
const LEEWAY = 90_000;
/** The alarm's handler sets it again so far ahead first, should it be killed half-way. Milliseconds. */
const DEAD_MAN = 30_000;

export interface KeeperOptions {
  env: unknown;
  store: RoomStore;
  clock: AlarmClock;
  storage: Pick<DurableObjectStorage, "transactionSync">;
  listeners: { count(): number; due(): number; closeEnded(now: number): void };
}

/** Writes a room's messages behind to D1, closes it when it is idle, and opens it again. */
export class Keeper {
  readonly #options: KeeperOptions;
  #opening: Promise<void> | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Until when the room can be used without waiting: what follows an `await` of this is in the same turn. */
  async open(): Promise<void> {
    while (this.#options.store.room()?.closed === 1) {
      this.#opening ??= this.#load().finally(() => (this.#opening = undefined));
      await this.#opening;
    }
  }

  /** The alarm. It never throws: the platform would give it up after some tries. */
  async ring(): Promise<void> {
    const { clock, listeners, store } = this.#options;
    clock.set(Date.now() + DEAD_MAN);
    try {
      listeners.closeEnded(Date.now());
      const room = store.room();
      if (room === null) await this.#forgetNothing();
      else if ((room.writeAt ?? Infinity) <= Date.now()) await this.#write();
      await this.#closeIdle();
    } catch (error) {
      this.#putOff(error);
    }
    clock.set(this.due());
  }

  /** When the alarm is to ring next; Infinity for never. */
  due(): number {
    const { store, listeners } = this.#options;
    const room = store.room();
    if (room === null) return Math.min(listeners.due(), this.#forgettable());
    const isGone = room.closed === 1 && store.head() === 0;
    return Math.min(listeners.due(), isGone ? Infinity : (room.writeAt ?? this.#idleAt(room)));
  }

  /** After a restart: a room that is open never goes without an alarm, or it would never be closed. */
  async wakeUp(): Promise<void> {
    await this.#options.clock.read();
    this.#options.clock.noLaterThan(this.due());
  }

  /** What of a closed room is asked at a glance. @throws ProblemError overloaded */
  async newest(room: RoomRow): Promise<ChatMessage | null> {
    return (await this.#asked(room, (archive) => archive.read(room.last - 1, 1)))[0] ?? null;
  }

  async #write(): Promise<void> {
    const { store } = this.#options;
    const archive = this.#archive(store.room()!);
    for (let batches = 0; batches < MAX_BATCHES; batches += 1) {
      const room = store.room()!;
      const batch = room.closed === 1 ? [] : store.after(room.written, BATCH);
      // What is said from here on sets the time anew.
      if (batch.length === 0) return store.upToDate();
      await archive.write(batch);
      store.written(batch.at(-1)!.seq);
    }
  }

  /** Nobody is there and nothing happens: once D1 is seen to have it all, the room keeps nothing. */
  async #closeIdle(): Promise<void> {
    const { store } = this.#options;
    const room = store.room();
    if (room === null || !this.#isIdle(room)) return;
    if (room.closed === 1) return this.#close(room, room.last);
    const head = store.head();
    const kept = await this.#archive(room).count();
    if (kept !== head) {
      // It is all written once more: what D1 has already does no harm.
      store.failed({ failures: room.failures, written: 0 }, Date.now());
      throw new Error(`D1 has ${kept} messages of a room that has ${head}.`);
    }
    // While D1 was asked somebody may have come.
    const now = store.room();
    if (now !== null && this.#isIdle(now) && store.head() === head) await this.#close(room, head);
  }

  #isIdle(room: RoomRow): boolean {
    if (this.#options.listeners.count() > 0 || this.#opening !== undefined) return false;
    return room.writeAt === null && room.active + IDLE <= Date.now();
  }

  async #close(room: RoomRow, last: number): Promise<void> {
    const deleted = this.#options.store.close(room, last);
    // It went with all else.
    this.#options.clock.set(Infinity);
    await deleted;
  }

  #idleAt({ active }: RoomRow): number {
    // With somebody there the alarm looks again now and then, should the process die with them.
    return this.#options.listeners.count() > 0 ? Date.now() + IDLE : active + IDLE;
  }

  #forgettable(): number {
    const until = this.#options.store.ticketsUntil();
    return until === null || this.#options.listeners.count() > 0 ? Infinity : until + LEEWAY;
  }

  async #forgetNothing(): Promise<void> {
    if (this.#forgettable() <= Date.now()) await this.#options.store.forget();
  }

  #putOff(error: unknown): void {
    const { store } = this.#options;
    const room = store.room();
    if (room === null) return log.error("A chat room's alarm failed", { error });
    const { tenant, workflow, id, failures, written } = room;
    const wait = Math.min(FIRST_WAIT * 2 ** failures, LONGEST_WAIT);
    // Rooms that failed together come back apart.
    store.failed(
      { failures: failures + 1, written },
      Date.now() + wait * (0.5 + Math.random() / 2),
    );
    const where = { tenant, workflow, instance: id, failures: failures + 1 };
    log.error("A chat room could not be written to D1; it will be tried again", {
      ...where,
      error,
    });
  }

  /** Reads the history back, page by page; killed half-way, it goes on from there. */
  async #load(): Promise<void> {
    const { store, storage, clock } = this.#options;
    for (;;) {
      const room = store.room()!;
      const head = store.head();
      if (head >= room.last) break;
      const page = await this.#asked(room, (archive) => archive.read(head, PAGE));
      if (page.length === 0 || page.some(({ seq }, at) => seq !== head + 1 + at)) {
        const { tenant, workflow, id, last } = room;
        log.error("D1 lacks messages of a chat room", { tenant, workflow, instance: id, head });
        throw refusal(
          "internal",
          `Of the room's ${last} messages those after ${head} can't be found. It stays as it is; tell who runs this.`,
        );
      }
      clock.transact(() => {
        store.restore(page, Date.now());
        clock.noLaterThan(Date.now() + IDLE);
      });
    }
    storage.transactionSync(() => store.reopen(Date.now()));
    clock.noLaterThan(this.due());
  }

  async #asked<Answer>(room: RoomRow, ask: (archive: Archive) => Promise<Answer>): Promise<Answer> {
    try {
      return await ask(this.#archive(room));
    } catch (error) {
      if (error instanceof ProblemError) throw error;
      const { tenant, workflow, id } = room;
      log.error("A chat room's history could not be read", {
        ...{ tenant, workflow, instance: id, error },
      });
      throw refusal("overloaded", "The room's history can't be had just now. Try again.", {
        retryAfter: 5,
      });
    }
  }

  #archive(home: Home): Archive {
    return new Archive(this.#options.env, home);
  }
}
