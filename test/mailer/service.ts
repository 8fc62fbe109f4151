import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { AddressCalls } from "../../services/contracts/auth.ts";
import type { MailboxCalls, MailboxEntry, MailWanted } from "../../services/contracts/mail.ts";
import type { Asker } from "../../services/contracts/reply.ts";
import { consumeMails } from "../../services/mailer/consumer.ts";
import type { MailerEnv } from "../../services/mailer/env.ts";
import type { Caller } from "../../src/contract/caller.ts";
import type { Buried } from "../../src/ingress/queue.ts";

/** The service as the gateway calls it: by RPC. */
export const { Mailbox: mailbox } = exports as unknown as { Mailbox: MailboxCalls };

export const asker = (roles: Caller["roles"], tenant = "tropical"): Asker => ({
  caller: { tenant, subject: "olga", roles },
  authorization: "",
});

/** What the auth service says, and whom it was asked about. */
export function addressBook(
  say: (subject: string) => Awaited<ReturnType<AddressCalls["addressOf"]>>,
): AddressCalls & { asked: unknown[] } {
  const asked: unknown[] = [];
  return {
    asked,
    addressOf: async (whose, subject) => {
      asked.push({ whose, subject });
      return say(subject);
    },
  };
}

export const everybody = (subject: string) => ({
  ok: true as const,
  value: `${subject.replace("user:", "")}@example.test`,
});

/** The Worker's own bindings, with an auth service that knows everybody, and a queue that can be read. */
export function world(more: Partial<MailerEnv> = {}): MailerEnv & { buried: Buried[] } {
  const buried: Buried[] = [];
  return {
    ...{ MAILS_DB: env.MAILS_DB, MAIL_PROVIDER: "mailbox", ADDRESSES: addressBook(everybody) },
    DEAD_LETTERS: { send: async (letter: Buried) => void buried.push(letter) } as unknown as Queue,
    ...more,
    buried,
  };
}

let counter = 0;
export const freshId = () => `m-${(counter += 1)}-${crypto.randomUUID().slice(0, 8)}`;

export const welcome = (to: MailWanted["to"], name = "carla"): MailWanted => ({
  ...{ template: "welcome", to, values: { name } },
});

/** A mail as the orchestrator puts it into the queue. */
export function envelope(id: string, data: unknown, whose: object = { tenant: "tropical" }) {
  const source = "/registrations/r1";
  return { ...whose, event: { specversion: "1.0", id, source, type: "mail.wanted", data } };
}

/** Brings messages as the queue does. @returns what became of each: acknowledged, or seconds to the next try */
export async function deliver(
  bodies: readonly unknown[],
  to: MailerEnv,
  { attempts = 1, by = consumeMails }: { attempts?: number; by?: typeof consumeMails } = {},
): Promise<("acked" | number)[]> {
  const messages = bodies.map((body, index) => ({
    ...{ id: String(index), timestamp: new Date(), attempts, body },
  }));
  const batch = createMessageBatch("mails", messages);
  const retried = batch.messages.map((message) => vi.spyOn(message, "retry"));
  await by(batch, to);
  const result = await getQueueResult(batch, createExecutionContext());
  return bodies.map((_, index) => {
    if (result.explicitAcks.includes(String(index))) return "acked";
    const isRetried = result.retryMessages.some(({ msgId }) => msgId === String(index));
    if (!isRetried) throw new Error(`Nothing became of message ${index}.`);
    return retried[index]!.mock.calls[0]?.[0]?.delaySeconds ?? 0;
  });
}

/** What the mailbox has for an address. */
export async function mailsTo(to: string, tenant?: string): Promise<MailboxEntry[]> {
  const reply = await mailbox.mails(asker(["operator"], tenant), to);
  if (!reply.ok) throw new Error(reply.problem.detail);
  return reply.value;
}

export const rowOf = (id: string) =>
  env.MAILS_DB.prepare("SELECT state, asked_at, leased_until FROM mails WHERE id = ?")
    .bind(id)
    .first<{ state: string; asked_at: number | null; leased_until: number }>();

/** Lets time pass for whoever asks what time it is. */
export const later = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);
