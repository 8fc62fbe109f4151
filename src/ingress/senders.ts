import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { jurisdiction } from "./jurisdiction.ts";

export interface WebhookSettings {
  /** Who may post to /events and /hooks: a JSON list of senders, a secret of the deployment. */
  WEBHOOK_SENDERS?: string;
  /** Requests a minute that senders of events are asked to keep to; 120 by default. */
  WEBHOOK_RATE?: string;
}

/** Characters of a hook's secret: some providers' are no `whsec_`, but none is shorter. */
const LEAST_SECRET = 16;

const senders = v.array(
  v.pipe(
    v.strictObject({
      name: v.pipe(v.string(), v.minLength(1)),
      /** It posts to /hooks/{name}, and nowhere else; without it to /events, and nowhere else. */
      hook: v.optional(v.boolean(), false),
      tenant: v.pipe(v.string(), v.minLength(1)),
      jurisdiction,
      roles: v.array(v.string()),
      /** `whsec_` and base64, but where a hook's signature is another; several while they are rotated. */
      secrets: v.array(v.pipe(v.string(), v.minLength(LEAST_SECRET))),
    }),
    v.check(({ hook, secrets }) => hook || secrets.every((one) => one.startsWith("whsec_"))),
  ),
);

export type Sender = v.InferOutput<typeof senders>[number];

/** @throws ProblemError not-configured where the settings are missing or malformed */
export function sendersOf({ WEBHOOK_SENDERS }: WebhookSettings): Sender[] {
  try {
    return v.parse(senders, JSON.parse(WEBHOOK_SENDERS ?? ""));
  } catch {
    throw refusal("not-configured", "WEBHOOK_SENDERS must be set to a list of senders.");
  }
}

/** Who a sender is: never what its request says. */
export function callerOf({ tenant, roles, jurisdiction }: Sender, subject: string): Caller {
  const credential = subject;
  return {
    tenant,
    roles,
    subject,
    credential,
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
  };
}
