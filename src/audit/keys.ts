import { keyringOf, type Keyring } from "../contract/keyring.ts";
import { log } from "../contract/log.ts";

/** What journals are sealed with, and were before. */
export type JournalKeys = Keyring;

let hasWarned = false;

/**
 * The keys of a deployment, its secret JOURNAL_KEYS; null where it has none, and its journals are not
 * protected.
 *
 * @throws ProblemError not-configured where the setting is malformed: then nothing may be written, for
 *   nobody could tell later what was altered meanwhile
 */
export function journalKeys(env: unknown): JournalKeys | null {
  return keyringOf(env, "JOURNAL_KEYS");
}

/** Says so in the log, once an isolate, where journals are not protected. */
export function warnIfUnprotected(env: unknown): void {
  if (hasWarned || (env as { JOURNAL_KEYS?: string } | undefined)?.JOURNAL_KEYS) return;
  hasWarned = true;
  log.warn(
    "JOURNAL_KEYS is not set: journals are not sealed, and what is altered in them is not found. Set it, docs/operations.md says how.",
  );
}
