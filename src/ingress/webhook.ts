import { Webhook } from "standardwebhooks";
import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";

export interface WebhookSettings {
  /** Who may post to /events: a JSON list of senders, a secret of the deployment. */
  WEBHOOK_SENDERS?: string;
}

const senders = v.array(
  v.strictObject({
    name: v.pipe(v.string(), v.minLength(1)),
    tenant: v.pipe(v.string(), v.minLength(1)),
    jurisdiction: v.optional(v.picklist(["eu", "fedramp", "fedramp-high", "us"])),
    roles: v.array(v.string()),
    /** `whsec_` and base64; several while they are being rotated. */
    secrets: v.array(v.pipe(v.string(), v.startsWith("whsec_"))),
  }),
);

/**
 * What a sender signs. Standard Webhooks signs the body alone; a CloudEvent in binary mode carries
 * its type, subject and id in headers, which a signed body doesn't protect. So those headers are
 * signed as well: `name:value` and a newline each, in the order of their lower-case names, before
 * the body. Without `ce-` headers this is the body, as the standard has it.
 */
export function signedContent(headers: Headers, body: string): string {
  const attributes = [...headers].filter(([name]) => name.startsWith("ce-"));
  return attributes.map(([name, value]) => `${name}:${value}\n`).join("") + body;
}

/**
 * Who signed a webhook, by Standard Webhooks: HMAC-SHA256 over `id.timestamp.content`, at most five
 * minutes old. The sender's tenant and roles come from our settings, never from the request.
 *
 * @throws ProblemError unauthenticated; not-configured where the settings are missing or malformed
 */
export function authenticateWebhook(
  headers: Headers,
  body: string,
  settings: WebhookSettings,
): Caller {
  if (["webhook-id", "webhook-timestamp", "webhook-signature"].some((name) => !headers.has(name))) {
    throw refusal(
      "unauthenticated",
      "Sign the request by Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature.",
    );
  }
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
  throw refusal("unauthenticated", "No known secret gives this signature, or it is old.");
}

function configured({ WEBHOOK_SENDERS }: WebhookSettings) {
  try {
    return v.parse(senders, JSON.parse(WEBHOOK_SENDERS ?? ""));
  } catch {
    throw refusal("not-configured", "WEBHOOK_SENDERS must be set to a list of senders.");
  }
}
