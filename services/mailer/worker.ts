import { WorkerEntrypoint } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { realmOf } from "../../src/contract/realm.ts";
import type { MailboxCalls, MailboxEntry } from "../contracts/mail.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import { replying } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import { consumeMails } from "./consumer.ts";
import type { MailerEnv } from "./env.ts";
import { forgetMails } from "./ledger.ts";
import { hasMailbox, mailboxOf } from "./providers.ts";

const WHERE = "mailer";
/** Days that it is known which mails were sent. */
const RETENTION = 60;

/** What the gateway may ask. It has verified who is asking; what they may do is looked at here. */
export class Mailbox extends WorkerEntrypoint<MailerEnv> implements MailboxCalls {
  isThere(): Promise<Reply<boolean>> {
    return replying(WHERE, async () => hasMailbox(this.env));
  }

  mails({ caller }: Asker, to?: string): Promise<Reply<MailboxEntry[]>> {
    return replying(WHERE, async () => {
      requireStaff(caller, "mailbox");
      return mailboxOf(this.env, realmOf(caller)).mails(to);
    });
  }
}

export default {
  /** Nothing is served over HTTP: the Worker has no address of its own. */
  fetch: (): Response => new Response(null, { status: 404 }),

  queue: (batch: MessageBatch, env: MailerEnv): Promise<void> => consumeMails(batch, env),

  /** By cron. */
  scheduled: async (_: ScheduledController, env: MailerEnv): Promise<void> => {
    const forgotten = await forgetMails(env.MAILS_DB, Date.now() - RETENTION * 86_400_000);
    if (forgotten > 0) log.info("Old mails were forgotten", { forgotten, days: RETENTION });
  },
};
