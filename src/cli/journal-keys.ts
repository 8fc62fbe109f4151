import { randomBytes } from "node:crypto";

/** A first key for journals, as the setting JOURNAL_KEYS has it. */
export function newJournalKeys(): string {
  return JSON.stringify({ current: "k1", keys: { k1: randomBytes(32).toString("base64") } });
}
