import type { AddressCalls } from "../contracts/auth.ts";

/** The mailer's bindings and settings. */
export interface MailerEnv {
  MAILS_DB: D1Database;
  DEAD_LETTERS: Queue;
  /** The auth service's entrypoint `Addresses`. Absent: mails to users wait. */
  ADDRESSES?: AddressCalls;
  /** `http` or `mailbox`. Absent: every mail waits. */
  MAIL_PROVIDER?: string;
  /** Where the HTTP provider takes mails, such as `https://api.resend.com/emails`. */
  MAIL_API_URL?: string;
  MAIL_API_KEY?: string;
  /** Whom mails are from: `Name <address>` or an address. */
  MAIL_FROM?: string;
}
