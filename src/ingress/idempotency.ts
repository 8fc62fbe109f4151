import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";

/**
 * The Idempotency-Key header, bare or as the quoted string that the IETF's draft has.
 *
 * @throws ProblemError bad-idempotency-key
 */
export function idempotencyKey(headers: Headers): string | undefined {
  const header = headers.get("idempotency-key");
  if (header === null) return undefined;
  const key = /^"(.*)"$/.exec(header)?.[1] ?? header;
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw refusal("bad-idempotency-key", "An Idempotency-Key has 1 to 255 visible ASCII characters.");
}

/** Keys are a caller's own: two callers may use the same one. */
export function dedupeByKey({ subject }: Caller, key: string): string {
  return JSON.stringify([subject, key]);
}

/** CloudEvents 1.0.2, section 3.1: source and id together are unique to the event. */
export function dedupeByCloudEvent(
  { subject }: Caller,
  { source, id }: { source: string; id: string },
): string {
  return JSON.stringify([subject, source, id]);
}
