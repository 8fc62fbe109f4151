import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import { checkMessage } from "../contract/shape.ts";
import { checkCloudEvent, type ReceivedEvent } from "./cloudevent.ts";
import { validate } from "../instance/validate.ts";
import { jurisdiction } from "./jurisdiction.ts";

/** What can't be delivered ends here, with its reason. */
export interface DeadLetter {
  queue: string;
  reason: Problem;
  attempts: number;
  body: unknown;
}

const envelope = v.object({
  tenant: v.pipe(v.string(), v.minLength(1), v.maxLength(100)),
  jurisdiction,
  event: v.record(v.string(), v.unknown()),
});

/**
 * Problems that may pass: an instance that is yet to be started, an event that came before the one
 * it follows (queues keep no order), a moment of overload. The queue's own `max_retries` ends them.
 */
const PASSING = new Set([404, 409, 429, 500, 503]);

/** Whether it is worth trying again. */
export function mayPass({ status }: Problem): boolean {
  return PASSING.has(status);
}

/** Seconds until the next try; with the queue's 17 retries that makes about an hour. */
export function retryDelay(attempts: number): number {
  return Math.min(300, 5 * 2 ** (attempts - 1));
}

/** What becomes of one message: null when it is done, or the problem it met. */
export type Deliver = (caller: Caller, event: ReceivedEvent) => Promise<Problem | null>;

/**
 * Takes a batch of envelopes. Messages about one subject keep their order, others go side by side;
 * each is acknowledged by itself, only after it is safe where it was going.
 *
 * @param deadLetters takes what can never be delivered; without it the queue's own retries decide
 */
export async function consume(
  { messages, queue }: Pick<MessageBatch, "messages" | "queue">,
  deadLetters: Queue | undefined,
  deliver: Deliver,
): Promise<void> {
  const bySubject = Map.groupBy(messages, ({ body }) => subjectOf(body));
  await Promise.all(
    [...bySubject.values()].map(async (messages) => {
      let isWaiting = false;
      for (const message of messages) {
        // What follows a message that has to wait waits as well, so that it doesn't overtake it.
        if (isWaiting) {
          message.retry({ delaySeconds: retryDelay(message.attempts) });
          continue;
        }
        const met = await attempt(() => openEnvelope(message.body), deliver);
        if (met === null) {
          message.ack();
        } else if (mayPass(met) || deadLetters === undefined) {
          message.retry({ delaySeconds: retryDelay(message.attempts) });
          isWaiting = true;
        } else {
          await bury(message, queue, met, deadLetters);
        }
      }
    }),
  );
}

/** Delivers what was opened. @returns null when it is done, or the problem it met */
export async function attempt(
  open: () => { caller: Caller; event: ReceivedEvent },
  deliver: Deliver,
): Promise<Problem | null> {
  try {
    const { caller, event } = open();
    return await deliver(caller, event);
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    console.error(error);
    return problem("internal", error instanceof Error ? error.message : String(error));
  }
}

/**
 * @param by what brought it; repeats are known within it
 * @throws ProblemError invalid-body, bad-cloudevent
 */
export function openEnvelope(
  body: unknown,
  by: "queue" | "rabbitmq" = "queue",
): { caller: Caller; event: ReceivedEvent } {
  const { tenant, jurisdiction, event } = validate(envelope, body, "");
  checkMessage(body);
  const received = checkCloudEvent(event);
  const caller: Caller = {
    tenant,
    subject: `${by}:${received.source}`,
    roles: ["service"],
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
  };
  return { caller, event: received };
}

/** Puts what can never be delivered where somebody sees it; without such a place the queue's retries decide. */
export async function bury(
  message: Message,
  queue: string,
  reason: Problem,
  deadLetters: Queue | undefined,
): Promise<void> {
  if (deadLetters === undefined) {
    message.retry({ delaySeconds: retryDelay(message.attempts) });
    return;
  }
  const letter: DeadLetter = { queue, reason, attempts: message.attempts, body: message.body };
  try {
    await deadLetters.send(letter, { contentType: "json" });
    message.ack();
  } catch (error) {
    console.error(error);
    message.retry({ delaySeconds: retryDelay(message.attempts) });
  }
}

function subjectOf(body: unknown): string {
  const { tenant, event } = (body ?? {}) as { tenant?: unknown; event?: { subject?: unknown } };
  return JSON.stringify([tenant, event?.subject]);
}
