import { randomBytes } from "node:crypto";

/** A first key, as the settings JOURNAL_KEYS and SECRETS_KEYS have it. */
export function newKeys(): string {
  return JSON.stringify({ current: "k1", keys: { k1: randomBytes(32).toString("base64") } });
}
