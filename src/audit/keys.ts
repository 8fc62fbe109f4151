import * as v from "valibot";
import { log } from "../contract/log.ts";
import { refusal } from "../contract/problem.ts";

interface JournalSettings {
  /**
   * A secret of the deployment: JSON of `{"current": "k2", "keys": {"k1": "base64…", "k2": "base64…"}}`.
   * Each key has 32 bytes or more; `current` is the one that new entries are sealed with.
   */
  JOURNAL_KEYS?: string;
}

/** What journals are sealed with, and were before. */
export interface JournalKeys {
  current: string;
  keys: ReadonlyMap<string, Uint8Array>;
}

/** As many as HMAC-SHA256 makes use of (RFC 2104, section 3). */
const LEAST_BYTES = 32;

const setting = v.pipe(
  v.strictObject({
    current: v.string(),
    keys: v.record(
      v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{1,16}$/)),
      v.pipe(
        v.string(),
        v.regex(/^[A-Za-z0-9+/_-]+={0,2}$/),
        v.transform((text): Uint8Array => new Uint8Array(Buffer.from(text, "base64"))),
        v.check(({ length }) => length >= LEAST_BYTES),
      ),
    ),
  }),
  v.check(({ current, keys }) => Object.hasOwn(keys, current)),
);

/** Read once an isolate. */
let read: { text: string; keys: JournalKeys } | undefined;
let hasWarned = false;

/**
 * The keys of a deployment; null where it has none, and its journals are not protected.
 *
 * @throws ProblemError not-configured where the setting is malformed: then nothing may be written, for
 *   nobody could tell later what was altered meanwhile
 */
export function journalKeys(env: unknown): JournalKeys | null {
  const { JOURNAL_KEYS: text } = (env ?? {}) as JournalSettings;
  if (text === undefined || text === "") return null;
  if (read?.text === text) return read.keys;
  let parsed: v.InferOutput<typeof setting>;
  try {
    parsed = v.parse(setting, JSON.parse(text));
  } catch {
    throw refusal(
      "not-configured",
      `JOURNAL_KEYS must be JSON of {"current": NAME, "keys": {NAME: base64 of ${LEAST_BYTES} bytes or more}}, a name 1 to 16 of A–Z a–z 0–9 _ -. Until it is, nothing is written.`,
    );
  }
  const keys = { current: parsed.current, keys: new Map(Object.entries(parsed.keys)) };
  read = { text, keys };
  return keys;
}

/** Says so in the log, once an isolate, where journals are not protected. */
export function warnIfUnprotected(env: unknown): void {
  if (hasWarned || (env as JournalSettings | undefined)?.JOURNAL_KEYS) return;
  hasWarned = true;
  log.warn(
    "JOURNAL_KEYS is not set: journals are not sealed, and what is altered in them is not found. Set it, docs/operations.md says how.",
  );
}
