import { Webhook } from "standardwebhooks";

const KEY_BYTES = 32;

/** A new key: `whsec_` and base64, as Standard Webhooks has it. */
export function newSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return `whsec_${btoa(String.fromCharCode(...bytes))}`;
}

/** The three headers, with a signature by each key: a receiver takes whichever it knows. */
export function signatureHeaders(
  id: string,
  at: number,
  body: string,
  secrets: readonly string[],
): Record<string, string> {
  const time = new Date(at);
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": secrets
      .map((secret) => new Webhook(secret).sign(id, time, body))
      .join(" "),
  };
}
