/** A claim check: what an event carries in the place of a payload that is too large for it. */
export interface PayloadReference {
  /** `sha256-` and the content's hash in hexadecimal. */
  $payload: string;
  /** Bytes. */
  size: number;
  /** The media type that it was uploaded as. */
  type: string;
}

/** A payload that was claimed. Each call reads it anew and checks it against its hash. */
export interface Payload {
  bytes: () => Promise<Uint8Array>;
  /** As UTF-8. */
  text: () => Promise<string>;
  json: () => Promise<unknown>;
  /** Bytes. */
  size: number;
  /** The media type that it was uploaded as. */
  type: string;
}

const SHA256 = /^[0-9a-f]{64}$/;
const PREFIX = "sha256-";

export function isSha256(text: string): boolean {
  return SHA256.test(text);
}

export function payloadReference(sha256: string, size: number, type: string): PayloadReference {
  return { $payload: PREFIX + sha256, size, type };
}

/** The hash and size that a reference names; null where it is none. */
export function readReference(value: unknown): { sha256: string; size: number } | null {
  const { $payload, size } = (value ?? {}) as Partial<Record<keyof PayloadReference, unknown>>;
  if (typeof $payload !== "string" || !$payload.startsWith(PREFIX)) return null;
  const sha256 = $payload.slice(PREFIX.length);
  if (!isSha256(sha256) || !Number.isSafeInteger(size) || (size as number) < 0) return null;
  return { sha256, size: size as number };
}

/** A digest as it stands in references and keys. */
export function hexOf(digest: ArrayBuffer): string {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
