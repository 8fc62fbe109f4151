import type { ReceivedEvent } from "../../src/cloudevents/received.ts";
import { log } from "../../src/contract/log.ts";
import { refusal } from "../../src/contract/problem.ts";
import { realmOf, type Realm } from "../../src/contract/realm.ts";
import { giveBack, openEnvelope, toProblem } from "../../src/ingress/queue.ts";
import { validate } from "../../src/instance/validate.ts";
import type { Addressee, MailWanted } from "../contracts/mail.ts";
import { granted } from "../replying.ts";
import type { MailerEnv } from "./env.ts";
import { MailNote, type Claim } from "./ledger.ts";
import { MailNotTaken, type MailProvider } from "./provider.ts";
import { providerOf } from "./providers.ts";
import { isAddress, mailWanted } from "./shapes.ts";
import { compose } from "./templates.ts";

/** What sends a realm's mails. @throws ProblemError not-configured */
type ProviderFor = (env: MailerEnv, realm: Realm) => MailProvider;

/** Sends a batch of mails, each by itself: what becomes of one is nothing to the others. */
export async function consumeMails(
  { messages, queue }: Pick<MessageBatch, "messages" | "queue">,
  env: MailerEnv,
  providerFor: ProviderFor = providerOf,
): Promise<void> {
  const settled = await Promise.allSettled(
    messages.map((message) => take(message, queue, env, providerFor)),
  );
  for (const result of settled) {
    // It is neither acknowledged nor given back, so the queue brings it again.
    if (result.status === "rejected") log.error("A mail was left lying", { error: result.reason });
  }
  for (const [index, message] of messages.entries()) {
    if (settled[index]?.status === "rejected") message.retry();
  }
}

async function take(
  message: Message,
  queue: string,
  env: MailerEnv,
  providerFor: ProviderFor,
): Promise<void> {
  try {
    const { caller, event } = openEnvelope(message.body);
    await send(env, realmOf(caller), event, providerFor);
  } catch (error) {
    await giveBack(message, queue, toProblem(error), env.DEAD_LETTERS);
    return;
  }
  message.ack();
}

/**
 * Sends the mail that an event asks for, unless that was done.
 *
 * @throws ProblemError unknown-event, invalid-body, exhausted, which stay; not-configured, overloaded,
 *   neighbour-unavailable and whatever else, which pass
 */
async function send(
  env: MailerEnv,
  realm: Realm,
  event: ReceivedEvent,
  providerFor: ProviderFor,
): Promise<void> {
  const wanted = wantedBy(event);
  const note = new MailNote(env.MAILS_DB, realm, event);
  const claim = await note.claim(Date.now());
  if (claim === null) return;
  try {
    const to = await addressFor(env, realm, wanted.to);
    if (to === null) {
      await claim.settle("unaddressed", Date.now());
      log.warn("A mail has nowhere to go", { tenant: realm.tenant, template: wanted.template });
      return;
    }
    const provider = providerFor(env, realm);
    checkStillKnown(claim, provider);
    await claim.noteAsking(Date.now());
    await provider.send({ to, ...compose(wanted) }, await note.key());
    await claim.settle("sent", Date.now());
  } catch (error) {
    await giveUpClaim(claim, error);
    throw error;
  }
}

/** Where that fails too, the lease ends by itself. */
async function giveUpClaim(claim: Claim, why: unknown): Promise<void> {
  try {
    await claim.release(why instanceof MailNotTaken);
  } catch (error) {
    log.warn("A mail's claim was left to end by itself", { error });
  }
}

function wantedBy({ type, data }: ReceivedEvent): MailWanted {
  if (type === "mail.wanted") return validate(mailWanted, data, "data");
  throw refusal(
    "unknown-event",
    `"${type.slice(0, 100)}" is no event of the mailer: mail.wanted is.`,
  );
}

/** Rather not at all than twice: what the provider would take for a new mail is not said again. */
function checkStillKnown({ askedAt }: Claim, { remembers }: MailProvider): void {
  if (askedAt === null || Date.now() - askedAt < remembers) return;
  throw refusal(
    "exhausted",
    `The provider was asked for this mail on ${new Date(askedAt).toISOString()}, has not said whether it took it, and may not know it any more. Look in its log: docs/mailer.md says what to do then.`,
  );
}

/** @returns null where there is none */
async function addressFor(
  { ADDRESSES }: MailerEnv,
  realm: Realm,
  to: Addressee,
): Promise<string | null> {
  if ("address" in to) return to.address;
  if (ADDRESSES === undefined) {
    throw refusal("not-configured", "ADDRESSES is not bound: add the auth service's entrypoint.");
  }
  const { tenant, jurisdiction } = realm;
  const whose = { tenant, ...(jurisdiction ? { jurisdiction } : {}) };
  const address = granted(await ADDRESSES.addressOf(whose, to.subject));
  return address !== null && isAddress(address) ? address : null;
}
