import * as v from "valibot";
import { refusal } from "./problem.ts";

/** Keys of a deployment by their names, and the one that is used for what is new. */
export interface Keyring {
  current: string;
  keys: ReadonlyMap<string, Uint8Array>;
}

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

/** Read once an isolate, by the setting's name. */
const read = new Map<string, { text: string; keyring: Keyring }>();

/**
 * The keys that a setting holds: JSON of `{"current": "k2", "keys": {"k1": "base64…", "k2": "base64…"}}`.
 *
 * @param name of the setting
 * @returns null where it is not set
 * @throws ProblemError not-configured where it is malformed
 */
export function keyringOf(env: unknown, name: string): Keyring | null {
  const text = ((env ?? {}) as Record<string, unknown>)[name];
  if (text === undefined || text === "") return null;
  const known = read.get(name);
  if (known !== undefined && known.text === text) return known.keyring;
  try {
    const { current, keys } = v.parse(setting, JSON.parse(text as string));
    const keyring = { current, keys: new Map(Object.entries(keys)) };
    read.set(name, { text: text as string, keyring });
    return keyring;
  } catch {
    throw refusal(
      "not-configured",
      `${name} must be JSON of {"current": NAME, "keys": {NAME: base64 of ${LEAST_BYTES} bytes or more}}, a name 1 to 16 of A–Z a–z 0–9 _ -. Until it is, nothing is written.`,
    );
  }
}
