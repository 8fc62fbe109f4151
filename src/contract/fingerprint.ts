import { createHash } from "node:crypto";
import { canonical } from "./canonical.ts";

/**
 * A short name for a JSON value: 128 bits of SHA-256 over its canonical form.
 */
export function fingerprint(value: unknown): string {
  return createHash("sha256")
    .update(canonical(value))
    .digest()
    .subarray(0, 16)
    .toString("base64url");
}
