import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { StartRequest } from "../contract/requests.ts";
import { mayStart } from "../kernel/access.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { fingerprint } from "../contract/fingerprint.ts";
import { addressOf } from "./instances.ts";
import { validate, validateEvent } from "../instance/validate.ts";

/** A hundred years, in milliseconds. */
const FURTHEST = 3_155_760_000_000;

const startAt = v.pipe(
  v.string(),
  v.isoTimestamp("an ISO 8601 time with a zone, as 2030-01-01T12:00:00Z"),
  v.transform((text) => Date.parse(text)),
  v.check((time) => time - Date.now() <= FURTHEST, "at most a hundred years from now"),
);

const startBody = v.strictObject({
  id: v.optional(v.string()),
  input: v.optional(v.unknown()),
  event: v.optional(v.strictObject({ type: v.string(), data: v.optional(v.unknown()) })),
  startAt: v.optional(startAt),
});

/**
 * A start as the instance takes it. Without an id, one is derived from the idempotency key, the
 * tenant and the caller, so that a repeat finds the same instance.
 *
 * @throws ProblemError forbidden, invalid-body, bad-id, unknown-event, idempotency-key-required
 */
export function startRequest(
  workflow: RegisteredWorkflow,
  caller: Caller,
  body: unknown,
  idempotencyKey: string | undefined,
): StartRequest {
  // To the schema an empty list is an object without members.
  if (Array.isArray(body)) throw refusal("invalid-body", "The body must be an object.");
  const { id, input, event, startAt: begins } = validate(startBody, body ?? {}, "");
  if (id === undefined && idempotencyKey === undefined) {
    throw refusal(
      "idempotency-key-required",
      `Name an "id" in the body, or send an Idempotency-Key; else a repeat would start another.`,
      { field: "id" },
    );
  }
  const address = addressOf(caller, workflow.key, id ?? `k-${derivedId(caller, idempotencyKey)}`);
  const valid = workflow.input === undefined ? input : validate(workflow.input, input, "input");
  if (!mayStart(workflow, caller, { id: address.id, input: valid })) {
    throw refusal(
      "forbidden",
      `You may not start ${workflow.key} such as this one; you are ${caller.roles.join(", ") || "nobody"}.`,
    );
  }
  return {
    address,
    caller,
    input: valid,
    ...(event === undefined ? {} : { event: validateEvent(workflow, event.type, event.data) }),
    fingerprint: fingerprint(begins === undefined ? { input, event } : { input, event, begins }),
    ...(begins === undefined ? {} : { startAt: begins }),
  };
}

function derivedId({ tenant, subject }: Caller, idempotencyKey: string | undefined): string {
  return fingerprint(["start", tenant, subject, idempotencyKey]);
}
