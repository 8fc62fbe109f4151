import { Webhook } from "standardwebhooks";
import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { signedContent } from "./signed-content.ts";
import { jurisdiction } from "./jurisdiction.ts";

export interface WebhookSettings {
  /** Who may post to /events: a JSON list of senders, a secret of the deployment. */
  WEBHOOK_SENDERS?: string;
  /** Requests a minute that senders are asked to keep to; 120 by default. */
  WEBHOOK_RATE?: string;
}

/** Seconds a signature may be old, or ahead. */
const TOLERANCE = 300;

const senders = v.array(
  v.strictObject({
    name: v.pipe(v.string(), v.minLength(1)),
    tenant: v.pipe(v.string(), v.minLength(1)),
    jurisdiction,
    roles: v.array(v.string()),
    /** `whsec_` and base64; several while they are being rotated. */
    secrets: v.array(v.pipe(v.string(), v.startsWith("whsec_"))),
  }),
);

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
  for (const { name, secrets, tenant, roles, jurisdiction } of configured(settings)) {
    for (const secret of secrets) {
      try {
        new Webhook(secret).verify(content, signature, { jsonParse: false });
      } catch {
        continue;
      }
      return {
        tenant,
        roles,
        subject: `webhook:${name}`,
        ...(jurisdiction === undefined ? {} : { jurisdiction }),
      };
    }
  }
  const hint = content === body ? "" : " In binary mode the ce- headers are signed too.";
  throw refusal("unauthenticated", `No known secret gives this signature.${hint}`);
}

function configured({ WEBHOOK_SENDERS }: WebhookSettings) {
  try {
    return v.parse(senders, JSON.parse(WEBHOOK_SENDERS ?? ""));
  } catch {
    throw refusal("not-configured", "WEBHOOK_SENDERS must be set to a list of senders.");
  }
}
