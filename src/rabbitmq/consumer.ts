import { log } from "../contract/log.ts";
import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import { isPassing, problem, type Problem } from "../contract/problem.ts";
import { backoff } from "../egress/timing.ts";
import { retryDelay } from "../ingress/queue.ts";
import { Unwritable, type Connection, type Publication } from "./connection.ts";
import { attemptOf, deadPublication, orderOf, retryPublication, simpler } from "./message.ts";
import { saidBy, within } from "../contract/within.ts";

/** As many as with Cloudflare's queues: with the growing delays about an hour. */
const MAX_ATTEMPTS = 17;

/** Milliseconds after which a delivery counts as failed; should it succeed later, its repeat is known. */
const DELIVERY_PATIENCE = 60_000;

/** Brings a message to where it is to go. @returns null when it is safe there, or the problem it met */
export type Handle = (message: AMQPMessage) => Promise<Problem | null>;

/** Messages of one subject that are at hand. */
interface Line {
  tail: Promise<void>;
  /** Seconds that its first one has to wait, and so all behind it. */
  delay: number | null;
}

/**
 * Takes what one queue delivers. Messages about one subject keep their order, others go side by side;
 * each is acknowledged only after it is safe where it was going: with whom it is for, in a retry queue,
 * or with the dead letters.
 */
export class Consumer {
  readonly queue: string;
  readonly #handle: Handle;
  readonly #keeps: boolean;
  readonly #lines = new Map<string, Line>();
  readonly #underWay = new Set<Promise<unknown>>();

  /** @param options.keep tries a message again where it is, for ever: it has nowhere else to go */
  constructor(queue: string, handle: Handle, { keep = false }: { keep?: boolean } = {}) {
    this.queue = queue;
    this.#handle = handle;
    this.#keeps = keep;
  }

  /** @param connection the one that has delivered it: only by it can it be acknowledged */
  take(connection: Connection, message: AMQPMessage): void {
    const order = orderOf(message);
    if (order === null) {
      this.#note(this.#process(connection, message, null));
      return;
    }
    const line = this.#lines.get(order) ?? { tail: Promise.resolve(), delay: null };
    this.#lines.set(order, line);
    const turn = line.tail.then(async () => {
      line.delay = await this.#process(connection, message, line.delay);
      if (line.tail === turn) this.#lines.delete(order);
    });
    line.tail = turn;
    this.#note(turn);
  }

  /** Resolves when all that was taken is done, or after so many milliseconds. */
  async finish(patience: number): Promise<void> {
    const done = Promise.all(this.#underWay);
    await within(done, patience, "Deliveries are still under way").catch(() => {});
  }

  /** @param work never rejects */
  #note(work: Promise<unknown>): void {
    this.#underWay.add(work);
    void work.then(() => this.#underWay.delete(work));
  }

  /**
   * Never throws. @param wait seconds that what came before has to wait: this one must not overtake it
   * @returns seconds that what comes behind has to wait
   */
  async #process(
    connection: Connection,
    message: AMQPMessage,
    wait: number | null,
  ): Promise<number | null> {
    const { queue } = this;
    const attempts = attemptOf(message);
    if (wait !== null) {
      // It was not tried, so it doesn't count.
      const later = { queue, delay: wait, attempts: attempts - 1 };
      await this.#putAway(connection, message, retryPublication(message, later));
      return wait;
    }
    let met = await this.#attempt(message);
    for (let tries = 1; met !== null && this.#keeps && !message.channel.closed; tries++) {
      await pause(tries);
      met = await this.#attempt(message);
    }
    if (met === null) {
      acknowledge(message);
      return null;
    }
    if (this.#keeps) return null;
    if (isPassing(met) && attempts < MAX_ATTEMPTS) {
      const delay = retryDelay(attempts);
      await this.#putAway(
        connection,
        message,
        retryPublication(message, { queue, delay, attempts }),
      );
      return delay;
    }
    await this.#putAway(
      connection,
      message,
      deadPublication(message, { queue, reason: met, attempts }),
    );
    return null;
  }

  async #attempt(message: AMQPMessage): Promise<Problem | null> {
    try {
      const seconds = DELIVERY_PATIENCE / 1_000;
      const late = `The delivery took longer than ${seconds} s`;
      return await within(this.#handle(message), DELIVERY_PATIENCE, late);
    } catch (error) {
      log.error("A message could not be delivered", { queue: this.queue, error });
      return problem("internal", saidBy(error));
    }
  }

  /**
   * Publishes it elsewhere, and acknowledges it then. While that fails the message stays where it is;
   * when the connection ends, the broker delivers it once more.
   */
  async #putAway(connection: Connection, message: AMQPMessage, whole: Publication) {
    const forms = simpler(whole);
    let publication = forms.next().value ?? whole;
    for (let tries = 1; !message.channel.closed; tries++) {
      try {
        await connection.publish(publication);
        acknowledge(message);
        return;
      } catch (error) {
        log.warn("A message can't be put away", { queue: this.queue, error: saidBy(error) });
        if (error instanceof Unwritable) publication = forms.next().value ?? publication;
        await pause(tries);
      }
    }
  }
}

/** Where the connection is gone this comes to nothing, and the broker delivers once more. */
function acknowledge(message: AMQPMessage): void {
  message.ack().catch(() => {});
}

function pause(tries: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, backoff(tries, { longest: 30_000 })));
}
