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
