import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { checkShape } from "./body.ts";
import { checkCloudEvent } from "./cloudevent.ts";
import { deliverCloudEvent } from "./deliver.ts";
import type { Instances } from "./instances.ts";

/** What can't be delivered ends here, with its reason. */
export interface DeadLetter {
  queue: string;
  reason: Problem;
  attempts: number;
  body: unknown;
}

const envelope = v.object({
  tenant: v.pipe(v.string(), v.minLength(1), v.maxLength(100)),
  jurisdiction: v.optional(v.picklist(["eu", "fedramp", "fedramp-high", "us"])),
  event: v.record(v.string(), v.unknown()),
});

/**
 * Problems that may pass: an instance that is yet to be started, an event that came before the one
 * it follows (queues keep no order), a moment of overload. The queue's own `max_retries` ends them.
 */
const PASSING = new Set([404, 409, 500, 503]);

/** Seconds until the next try; with the queue's 17 retries that makes about an hour. */
function retryDelay(attempts: number): number {
  return Math.min(300, 5 * 2 ** (attempts - 1));
}

/**
 * Takes a batch of envelopes. Messages about one instance keep their order, others go side by side;
 * each is acknowledged by itself, only after its instance has committed.
 */
export async function consume(
  batch: MessageBatch,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  instances: Instances,
  deadLetters: Queue | undefined,
): Promise<void> {
  const bySubject = Map.groupBy(batch.messages, ({ body }) => subjectOf(body));
  await Promise.all(
    [...bySubject.values()].map(async (messages) => {
      for (const message of messages) {
        const found = await take(message.body, workflows, instances);
        if (found === null) {
          message.ack();
        } else if (PASSING.has(found.status) || deadLetters === undefined) {
          message.retry({ delaySeconds: retryDelay(message.attempts) });
        } else {
          await bury(message, batch.queue, found, deadLetters);
        }
      }
    }),
  );
}

async function take(
  body: unknown,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  instances: Instances,
): Promise<Problem | null> {
  try {
    const parsed = v.safeParse(envelope, body);
    if (!parsed.success) {
      const fields = parsed.issues.map((issue) => v.getDotPath(issue) ?? "body").join(", ");
      return problem("invalid-body", `Not an envelope: ${fields}.`);
    }
    checkShape(body);
    const { tenant, jurisdiction, event } = parsed.output;
    const received = checkCloudEvent(event);
    const caller: Caller = {
      tenant,
      subject: `queue:${received.source}`,
      roles: ["service"],
      ...(jurisdiction === undefined ? {} : { jurisdiction }),
    };
    const reply = await deliverCloudEvent(workflows, instances, caller, received);
    return reply.ok ? null : reply.problem;
  } catch (error) {
    if (error instanceof ProblemError) return error.problem;
    console.error(error);
    return problem("internal", error instanceof Error ? error.message : String(error));
  }
}

async function bury(message: Message, queue: string, reason: Problem, deadLetters: Queue) {
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
