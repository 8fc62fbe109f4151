import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import type { StartRequest } from "../contract/requests.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import { fingerprint } from "./fingerprint.ts";
import { addressOf } from "./instances.ts";
import { validate, validateEvent } from "../instance/validate.ts";

const startBody = v.strictObject({
  id: v.optional(v.string()),
  input: v.optional(v.unknown()),
  event: v.optional(v.strictObject({ type: v.string(), data: v.optional(v.unknown()) })),
});

/**
 * A start as the instance takes it. Without an id, one is derived from the idempotency key, the
 * tenant and the caller, so that a repeat finds the same instance.
 *
 * @throws ProblemError invalid-body, bad-id, unknown-event, idempotency-key-required
 */
export function startRequest(
  workflow: RegisteredWorkflow,
  caller: Caller,
  body: unknown,
  idempotencyKey: string | undefined,
): StartRequest {
  const { id, input, event } = validate(startBody, body ?? {}, "");
  if (id === undefined && idempotencyKey === undefined) {
    throw refusal(
      "idempotency-key-required",
      `Name an "id" in the body, or send an Idempotency-Key; else a repeat would start another.`,
      { field: "id" },
    );
  }
  const address = addressOf(caller, workflow.key, id ?? `k-${derivedId(caller, idempotencyKey)}`);
  return {
    address,
    caller,
    input: workflow.input === undefined ? input : validate(workflow.input, input, "input"),
    ...(event === undefined ? {} : { event: validateEvent(workflow, event.type, event.data) }),
    fingerprint: fingerprint({ input, event }),
  };
}

function derivedId({ tenant, subject }: Caller, idempotencyKey: string | undefined): string {
  return fingerprint(["start", tenant, subject, idempotencyKey]);
}
