import { refusal } from "../../src/contract/problem.ts";
import { saidBy } from "../../src/contract/within.ts";
import type { MailerEnv } from "./env.ts";
import { MailNotTaken, type MailProvider, type OutgoingMail } from "./provider.ts";

/** Milliseconds that the provider may take. */
const PATIENCE = 15_000;
/** Resend drops what comes again for 24 hours (its docs, "Idempotency keys"); an hour less, for the clocks. */
const REMEMBERS = 23 * 3_600_000;
/** Characters of an answer that are read for the name of what was wrong. */
const MOST = 4_096;

/** Sends by an HTTP API as Resend's is: `POST` of JSON, with `Idempotency-Key`. */
export class HttpProvider implements MailProvider {
  readonly remembers = REMEMBERS;
  readonly #url: string;
  readonly #key: string;
  readonly #from: string;
  readonly #patience: number;

  /** @throws ProblemError not-configured, naming what is missing */
  constructor(
    { MAIL_API_URL, MAIL_API_KEY, MAIL_FROM }: Partial<MailerEnv>,
    patience: number = PATIENCE,
  ) {
    if (!MAIL_API_URL || !MAIL_API_KEY || !MAIL_FROM) {
      throw refusal(
        "not-configured",
        "MAIL_PROVIDER=http needs MAIL_API_URL, MAIL_API_KEY and MAIL_FROM.",
      );
    }
    if (!isSafe(MAIL_API_URL)) {
      throw refusal("not-configured", "MAIL_API_URL must be an https address.");
    }
    this.#url = MAIL_API_URL;
    this.#key = MAIL_API_KEY;
    this.#from = MAIL_FROM;
    this.#patience = patience;
  }

  async send({ to, subject, text, html }: OutgoingMail, idempotencyKey: string): Promise<void> {
    const answer = await this.#post(
      { from: this.#from, to: [to], subject, text, html },
      idempotencyKey,
    );
    if (answer.ok) {
      await answer.body?.cancel();
      return;
    }
    throw refusalOf(answer.status, await nameIn(answer));
  }

  async #post(mail: object, idempotencyKey: string): Promise<Response> {
    try {
      return await fetch(this.#url, {
        method: "POST",
        headers: {
          Authorization: `Bearer ${this.#key}`,
          "Content-Type": "application/json",
          "Idempotency-Key": idempotencyKey,
        },
        body: JSON.stringify(mail),
        // The key and the mail are for this address and no other.
        redirect: "manual",
        signal: AbortSignal.timeout(this.#patience),
      });
    } catch (error) {
      throw refusal(
        "neighbour-unavailable",
        `The mail provider gave no answer (${saidBy(error)}). It is asked again with the same key.`,
      );
    }
  }
}

/** What an answer that is no success says: of its text the machine's name alone, which tells of nobody. */
function refusalOf(status: number, name: string): Error {
  const said = `The mail provider answered ${status}${name === "" ? "" : ` (${name})`}.`;
  if (name === "invalid_idempotent_request") {
    return refusal(
      "invalid-body",
      `${said} It has had another mail under this key: the template has changed in between. Look in its log whether that one was sent.`,
    );
  }
  // A server's failure may come behind the mail it has taken, and so may one under way.
  if (status >= 500 || status === 408 || status === 409) {
    return refusal("neighbour-unavailable", `${said} It is asked again with the same key.`);
  }
  if (status === 429) return new MailNotTaken("passing", `${said} It is asked again later.`);
  if (status === 401 || status === 403 || status < 400) {
    return new MailNotTaken(
      "unconfigured",
      `${said} Look at MAIL_API_URL, MAIL_API_KEY and MAIL_FROM.`,
    );
  }
  return new MailNotTaken("lasting", `${said} Asking again can't help.`);
}

async function nameIn(answer: Response): Promise<string> {
  try {
    const { name } = JSON.parse((await answer.text()).slice(0, MOST)) as { name?: unknown };
    return typeof name === "string" && /^[a-z_]{1,60}$/.test(name) ? name : "";
  } catch {
    return "";
  }
}

/** Addresses of mail go there, and the key: only over TLS, but to this machine. */
function isSafe(address: string): boolean {
  const { protocol, hostname } = URL.parse(address) ?? { protocol: "", hostname: "" };
  return (
    protocol === "https:" || (protocol === "http:" && /^(localhost|127\.0\.0\.1)$/.test(hostname))
  );
}
