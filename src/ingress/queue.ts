import * as v from "valibot";
import type { ReceivedEvent } from "../cloudevents/received.ts";
import { checkCloudEvent } from "../cloudevents/received.ts";
import type { Caller } from "../contract/caller.ts";
import { log } from "../contract/log.ts";
import { isPassing, problem, ProblemError, type Problem } from "../contract/problem.ts";
import type { SendRequest } from "../contract/requests.ts";
import { checkMessage } from "../contract/shape.ts";
import { validate } from "../instance/validate.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { requestOf, START, startOf } from "./deliver.ts";
import type { Protect } from "../secrets/letters.ts";
import type { Instances } from "./instances.ts";
import { jurisdiction } from "./jurisdiction.ts";

/** What can't be delivered, in its dead-letter queue: with its reason. */
export interface Buried {
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

/** Seconds until the next try; with the queue's 17 retries that makes about an hour. */
export function retryDelay(attempts: number): number {
  return Math.min(300, 5 * 2 ** (attempts - 1));
}

/** What came in one message. */
export interface Parcel {
  caller: Caller;
  event: ReceivedEvent;
}

/**
 * Brings events about one subject where they belong, in their order, and says what became of each: null
 * when it is safe there, or the problem it met. Behind one whose problem passes by itself the others may
 * be left alone: then there are fewer answers.
 */
export type Deliver = (parcels: readonly Parcel[]) => Promise<(Problem | null)[]>;

/** What one message at a time is brought by. */
export type DeliverOne = (caller: Caller, event: ReceivedEvent) => Promise<Problem | null>;

/** One after the other, until one has to wait. */
export function oneByOne(deliver: DeliverOne): Deliver {
  return async (parcels) => {
    const met: (Problem | null)[] = [];
    for (const { caller, event } of parcels) {
      met.push(await problemOf(() => deliver(caller, event)));
      const last = met.at(-1);
      if (last && isPassing(last)) break;
    }
    return met;
  };
}

/** All events of one instance by one call, after the start that may have come with them. */
export function toInstances(
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  instances: Instances,
): Deliver {
  return async (parcels) => {
    const met: (Problem | null)[] = Array.from({ length: parcels.length }, () => null);
    const requests: { index: number; request: SendRequest }[] = [];
    for (const [index, { caller, event }] of parcels.entries()) {
      try {
        if (event.type === START) {
          const reply = await instances.start(startOf(workflows, event, caller));
          met[index] = reply.ok ? null : reply.problem;
          continue;
        }
        requests.push({ index, request: requestOf(workflows, event, { caller, brokered: true }) });
      } catch (error) {
        if (!(error instanceof ProblemError)) throw error;
        met[index] = error.problem;
      }
    }
    if (requests.length === 0) return met;
    const inOrder = { inOrder: true };
    const receipts = await instances.sendAll(
      requests.map(({ request }) => request),
      inOrder,
    );
    for (const [position, { index }] of requests.entries()) {
      const receipt = receipts[position];
      if (receipt === undefined) return met.slice(0, index);
      met[index] = receipt.ok ? null : receipt.problem;
    }
    return met;
  };
}

/**
 * Takes a batch of envelopes. Messages about one subject keep their order and go together, others go side
 * by side; each is acknowledged by itself, only after it is safe where it was going.
 *
 * @param deadLetters takes what can never be delivered; without it the queue's own retries decide
 */
export async function consume(
  { messages, queue }: Pick<MessageBatch, "messages" | "queue">,
  deadLetters: Queue | undefined,
  deliver: Deliver,
  protect: Protect = (letter) => letter,
): Promise<void> {
  const bySubject = Map.groupBy(messages, ({ body }) => subjectOf(body));
  await Promise.all(
    [...bySubject.values()].map(async (group) => {
      const readable: { message: Message; parcel: Parcel }[] = [];
      for (const message of group) {
        try {
          readable.push({ message, parcel: openEnvelope(message.body) });
        } catch (error) {
          // Whatever is wrong with it, its neighbours in the batch are not to blame.
          await giveBack(message, queue, toProblem(error), deadLetters, protect);
        }
      }
      if (readable.length === 0) return;
      const met = await problemsOf(() => deliver(readable.map(({ parcel }) => parcel)));
      for (const [index, { message }] of readable.entries()) {
        const reason = met[index];
        // What follows a message that has to wait was not tried, so that it doesn't overtake it: it waits as well.
        if (reason === null) message.ack();
        else await giveBack(message, queue, reason, deadLetters, protect);
      }
    }),
  );
}

/** Back to the queue, or where it lasts to the dead letters. @param reason undefined where it was not tried */
export async function giveBack(
  message: Message,
  queue: string,
  reason: Problem | undefined,
  deadLetters: Queue | undefined,
  protect: Protect = (letter) => letter,
): Promise<void> {
  const isLasting = reason !== undefined && !isPassing(reason);
  if (isLasting) await bury(message, queue, reason, deadLetters, protect);
  else message.retry({ delaySeconds: retryDelay(message.attempts) });
}

/** As `deliver` answers; what is thrown is the first one's problem, behind which the others wait. */
async function problemsOf(deliver: () => Promise<(Problem | null)[]>): Promise<(Problem | null)[]> {
  try {
    return await deliver();
  } catch (error) {
    return [toProblem(error)];
  }
}

async function problemOf(deliver: () => Promise<Problem | null>): Promise<Problem | null> {
  try {
    return await deliver();
  } catch (error) {
    return toProblem(error);
  }
}

/** What is no problem of ours is an internal one, and logged. */
export function toProblem(error: unknown): Problem {
  if (error instanceof ProblemError) return error.problem;
  log.error("A message could not be delivered", { error });
  return problem("internal", error instanceof Error ? error.message : String(error));
}

/** One message by itself. @returns null when it is done, or the problem it met */
export async function attempt(open: () => Parcel, deliver: Deliver): Promise<Problem | null> {
  const [met] = await problemsOf(async () => deliver([open()]));
  return met === undefined ? problem("overloaded", "It was not tried.") : met;
}

/**
 * @param by what brought it; repeats are known within it
 * @throws ProblemError invalid-body, bad-cloudevent
 */
export function openEnvelope(body: unknown, by: "queue" | "rabbitmq" = "queue"): Parcel {
  const { tenant, jurisdiction, event } = validate(envelope, body, "");
  checkMessage(body);
  const received = checkCloudEvent(event);
  const caller: Caller = {
    tenant,
    subject: `${by}:${received.source}`,
    roles: ["service"],
    credential: by,
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
  protect: Protect = (letter) => letter,
): Promise<void> {
  if (deadLetters === undefined) {
    message.retry({ delaySeconds: retryDelay(message.attempts) });
    return;
  }
  const letter: Buried = { queue, reason, attempts: message.attempts, body: message.body };
  try {
    await deadLetters.send(protect(letter), { contentType: "json" });
    message.ack();
  } catch (error) {
    log.error("A dead letter could not be filed", { queue, error });
    message.retry({ delaySeconds: retryDelay(message.attempts) });
  }
}

function subjectOf(body: unknown): string {
  const { tenant, jurisdiction, event } = (body ?? {}) as {
    tenant?: unknown;
    jurisdiction?: unknown;
    event?: { subject?: unknown };
  };
  // It is not checked yet: what is no text may be what JSON can't write.
  const named = [tenant, jurisdiction, event?.subject].map((part) =>
    typeof part === "string" ? part : null,
  );
  return JSON.stringify(named);
}
