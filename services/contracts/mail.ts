import type { Asker, Reply } from "./reply.ts";

/** Whom a mail is for: a user, whose address the auth service knows, or an address. */
export type Addressee = { subject: string } | { address: string };

/** The data of each template. */
export interface MailTemplates {
  "confirm-address": { code: string };
  "already-registered": Record<string, never>;
  welcome: { name: string };
  "order-confirmed": { order: string; items: number; total: string };
  "order-delivered": { order: string };
  "order-cancelled": { order: string; reason: string | null };
}

/**
 * What stands in the queue `mails`: the data of a CloudEvent of type `mail.wanted`, whose source and id are
 * the mail's: no mail is sent twice for one.
 */
export type MailWanted = {
  [Name in keyof MailTemplates]: { template: Name; to: Addressee; values: MailTemplates[Name] };
}[keyof MailTemplates];

/** A mail in the local mailbox. */
export interface MailboxEntry {
  id: string;
  to: string;
  subject: string;
  text: string;
  html: string;
  /** ISO 8601. */
  at: string;
}

/** What the gateway asks of the mailer, by service binding to its entrypoint `Mailbox`. */
export interface MailboxCalls {
  /** Whether this deployment has a local mailbox; where mails are really sent, it has none. */
  isThere(): Promise<Reply<boolean>>;
  /** For staff, where the provider is the local mailbox: what was sent, the newest first; at most 100. */
  mails(asker: Asker, to?: string): Promise<Reply<MailboxEntry[]>>;
}
