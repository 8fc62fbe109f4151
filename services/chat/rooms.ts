import type { Caller } from "../../src/contract/caller.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { problem, ProblemError } from "../../src/contract/problem.ts";
import { realmOf } from "../../src/contract/realm.ts";
import type { RoomSummary } from "../contracts/chat.ts";
import type { Reply } from "../contracts/reply.ts";
import { granted } from "../replying.ts";
import { WORKFLOW } from "./door.ts";
import type { Person, Saying } from "./frames.ts";
import { LISTENING, type Listening, type Room, type Said } from "./room.ts";
import type { Home } from "./room-store.ts";

/** Tries of a call whose room was reset or could not be reached. */
const MAX_CALLS = 3;

/** One order's room, as the Worker calls it for somebody whom it has let in. */
export class RoomCalls {
  readonly #namespace: DurableObjectNamespace<Room>;
  readonly #caller: Caller;
  readonly #id: string;

  constructor(namespace: DurableObjectNamespace<Room>, caller: Caller, id: string) {
    this.#namespace = namespace;
    this.#caller = caller;
    this.#id = id;
  }

  get home(): Home {
    const { tenant, jurisdiction = null } = realmOf(this.#caller);
    return { tenant, jurisdiction, workflow: WORKFLOW, id: this.#id };
  }

  /** Once more does no harm: the message has its id. */
  async say(person: Person, saying: Saying): Promise<Said> {
    return granted(
      await this.#call((room) => room.say(this.home, person, saying) as Promise<Reply<Said>>),
    );
  }

  async history(after: number, limit: number) {
    return granted(await this.#call((room) => room.history(this.home, after, limit)));
  }

  async summary(): Promise<RoomSummary> {
    const order = `${WORKFLOW}/${this.#id}`;
    const found = granted(await this.#call((room) => room.summary(this.home)));
    return { order, ...found, stream: `/api/chat/${order}/stream` };
  }

  /**
   * @returns the WebSocket's response, or a problem
   * @throws ProblemError overloaded; it isn't tried again: a ticket is good once
   */
  async listen(listening: Omit<Listening, "home">): Promise<Response> {
    const asked: Listening = { ...listening, home: this.home };
    try {
      return await this.#stub().fetch("https://room/stream", {
        headers: { Upgrade: "websocket", [LISTENING]: JSON.stringify(asked) },
      });
    } catch (error) {
      throw isPassing(error) ? new ProblemError(OUT_OF_REACH) : error;
    }
  }

  async #call<Value>(
    call: (room: DurableObjectStub<Room>) => Promise<Reply<Value>>,
  ): Promise<Reply<Value>> {
    for (let calls = 1; ; calls += 1) {
      try {
        // A stub that has failed stays broken: each call gets a new one.
        return await call(this.#stub());
      } catch (error) {
        if (!isPassing(error)) throw error;
        const isRepeated = !(error as PlatformError).overloaded && calls < MAX_CALLS;
        if (!isRepeated) return { ok: false, problem: OUT_OF_REACH };
      }
    }
  }

  #stub(): DurableObjectStub<Room> {
    return objectIn(this.#namespace, realmOf(this.#caller), WORKFLOW, this.#id);
  }
}

/** As the platform marks what it throws. */
interface PlatformError {
  retryable?: boolean;
  overloaded?: boolean;
}

const OUT_OF_REACH = problem(
  "overloaded",
  "The room could not be reached just now. Try again; the same id is said once.",
);

function isPassing(error: unknown): boolean {
  const { retryable = false, overloaded = false } = error as PlatformError;
  return retryable || overloaded;
}
