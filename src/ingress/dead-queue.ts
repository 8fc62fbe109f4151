import type { DeadLetter } from "../contract/dead-letter.ts";
import { log } from "../contract/log.ts";
import { problem, type Problem } from "../contract/problem.ts";
import { findRealm } from "../contract/realm.ts";
import type { Buried } from "./queue.ts";

/** Queues of this name hold what other queues gave up on. */
export function isDeadQueue(queue: string): boolean {
  return queue.endsWith("-dead");
}

/** Seconds until what could not be filed is tried again, at most. */
const LONGEST = 3_600;

/**
 * Acknowledges what is filed. Behind this queue there is no other: what fails is tried again, ever further
 * apart, so that the platform's hundred tries last for four days. Where a batch fails each is filed by itself:
 * one that can't be must not take the others along.
 */
export async function fileBatch(
  messages: readonly Message[],
  file: (messages: readonly Message[]) => Promise<void>,
): Promise<void> {
  try {
    await file(messages);
    for (const message of messages) message.ack();
  } catch (error) {
    if (messages.length > 1) {
      await Promise.all(messages.map((message) => fileBatch([message], file)));
      return;
    }
    log.error("A dead letter could not be filed", { error });
    for (const message of messages) {
      message.retry({ delaySeconds: Math.min(LONGEST, 30 * 2 ** (message.attempts - 1)) });
    }
  }
}

/** Either ours, with its reason, or what the platform moved here after the last retry. */
export function letterOf(queue: string, { id, body, attempts, timestamp }: Message): DeadLetter {
  const ours = readBuried(body);
  const from = ours?.queue ?? queue.replace(/-dead$/, "");
  const inner = ours === null ? body : ours.body;
  return {
    whose: findRealm(inner),
    origin: from.startsWith("rabbitmq:") ? from : `queue:${from}`,
    message: `${queue} ${id}`,
    reason: ours?.reason ?? problem("exhausted", `The retries of the queue ${from} are exhausted.`),
    attempts: ours?.attempts ?? attempts,
    body: inner,
    at: timestamp.getTime(),
  };
}

function readBuried(body: unknown): Buried | null {
  const { queue, reason, attempts } = (body ?? {}) as Partial<Buried>;
  const isOurs =
    typeof queue === "string" &&
    typeof attempts === "number" &&
    typeof (reason as Partial<Problem> | undefined)?.detail === "string";
  return isOurs ? (body as Buried) : null;
}
