import { createHash } from "node:crypto";

/**
 * A short name for a JSON value: 128 bits of SHA-256 over its canonical form, so that the order of
 * keys doesn't matter. Synchronous, unlike Web Crypto: it runs on the hot path.
 */
export function fingerprint(value: unknown): string {
  return createHash("sha256")
    .update(canonical(value))
    .digest()
    .subarray(0, 16)
    .toString("base64url");
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value ?? null);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`);
  return `{${members.join(",")}}`;
}
