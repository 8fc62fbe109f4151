import { Webhook } from "standardwebhooks";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { signedContent } from "./signed-content.ts";
import { callerOf, sendersOf, type WebhookSettings } from "./senders.ts";

/** Seconds a signature may be old, or ahead. */
const TOLERANCE = 300;

/**
 * Who signed a webhook, by Standard Webhooks: HMAC-SHA256 over `id.timestamp.content`, at most five
 * minutes old. The sender's tenant and roles come from our settings, never from the request.
 *
 * @throws ProblemError unauthenticated; not-configured where the settings are missing or malformed
 */
export function authenticateWebhook(
  headers: Headers,
  bytes: Uint8Array,
  settings: WebhookSettings,
): Caller {
  if (["webhook-id", "webhook-timestamp", "webhook-signature"].some((name) => !headers.has(name))) {
    throw refusal(
      "unauthenticated",
      "Sign the request by Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature.",
    );
  }
  const secondsOff = Date.now() / 1_000 - Number(headers.get("webhook-timestamp"));
  if (!(Math.abs(secondsOff) <= TOLERANCE)) {
    throw refusal(
      "unauthenticated",
      `webhook-timestamp is ${Math.round(secondsOff)} s off; at most ${TOLERANCE}. It counts seconds.`,
    );
  }
  // Byte by byte: what is no UTF-8 gives another text, and no signature fits it.
  const body = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(bytes);
  const signature = Object.fromEntries(headers);
  const content = signedContent(headers, body);
  for (const sender of sendersOf(settings)) {
    if (sender.hook) continue;
    for (const secret of sender.secrets) {
      try {
        new Webhook(secret).verify(content, signature, { jsonParse: false });
      } catch {
        continue;
      }
      return callerOf(sender, `webhook:${sender.name}`);
    }
  }
  const hint = content === body ? "" : " In binary mode the ce- headers are signed too.";
  throw refusal("unauthenticated", `No known secret gives this signature.${hint}`);
}
