import { refusal } from "../../src/contract/problem.ts";
import type { Realm } from "../../src/contract/realm.ts";
import type { MailerEnv } from "./env.ts";
import { HttpProvider } from "./http-provider.ts";
import { LocalMailbox } from "./mailbox.ts";
import type { MailProvider } from "./provider.ts";

/**
 * What this deployment sends by.
 *
 * @throws ProblemError not-configured, naming what is missing
 */
export function providerOf(env: MailerEnv, realm: Realm): MailProvider {
  switch (env.MAIL_PROVIDER) {
    case "http":
      return new HttpProvider(env);
    case "mailbox":
      return mailboxOf(env, realm);
    default:
      throw refusal(
        "not-configured",
        "MAIL_PROVIDER must be set: http, or mailbox for development.",
      );
  }
}

/** Whether mails go to the mailbox of local development. */
export function hasMailbox({ MAIL_PROVIDER }: Pick<MailerEnv, "MAIL_PROVIDER">): boolean {
  return MAIL_PROVIDER === "mailbox";
}

/** @throws ProblemError not-found where mails are really sent */
export function mailboxOf(env: MailerEnv, realm: Realm): LocalMailbox {
  if (hasMailbox(env)) return new LocalMailbox(env.MAILS_DB, realm);
  throw refusal("not-found", "There is no mailbox: this deployment sends its mails.");
}
