import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 256 random bits as text. */
export function newSecret(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * What is stored of such a secret. SHA-256 is enough, though not for a password: 256 random bits can't
 * be guessed, however fast a guess is.
 */
export function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}

/** Whether a secret has one of these hashes; all are looked at, each in constant time. */
export function isOneOf(secret: string, hashes: readonly string[]): boolean {
  const wanted = Buffer.from(hashOf(secret));
  let isKnown = false;
  for (const hash of hashes) {
    const known = Buffer.from(hash);
    if (known.length === wanted.length && timingSafeEqual(known, wanted)) isKnown = true;
  }
  return isKnown;
}
