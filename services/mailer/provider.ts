import { ProblemError, problem } from "../../src/contract/problem.ts";
import type { ComposedMail } from "./templates.ts";

/** A mail as a provider takes it. */
export interface OutgoingMail extends ComposedMail {
  /** An address of mail. */
  to: string;
}

/** What takes mails on their way. */
export interface MailProvider {
  /** Milliseconds that it knows a key, and drops what comes again under it. */
  readonly remembers: number;
  /**
   * Resolves when the provider has the mail. Said again with the same key, it is one mail.
   *
   * @throws MailNotTaken where the provider surely has not taken it; anything else where that isn't known
   */
  send(mail: OutgoingMail, idempotencyKey: string): Promise<void>;
}

/** The provider has refused. Whether trying again helps is the problem's (`isPassing`). */
export class MailNotTaken extends ProblemError {
  override name = "MailNotTaken";

  constructor(why: "passing" | "unconfigured" | "lasting", detail: string) {
    const names = {
      passing: "neighbour-unavailable",
      unconfigured: "not-configured",
      lasting: "invalid-body",
    } as const;
    super(problem(names[why], detail));
  }
}
