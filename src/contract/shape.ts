import { refusal, type ProblemError } from "./problem.ts";

/** An event is at most so large everywhere: queues take 128 KB a message. */
export const MAX_EVENT_BYTES = 64 * 1024;
const MAX_DEPTH = 32;

/** Keys that reach an object's prototype when somebody merges them carelessly. */
const POISONOUS = new Set(["__proto__", "constructor", "prototype"]);

export function tooLarge(most = MAX_EVENT_BYTES): ProblemError {
  return refusal("body-too-large", `The body may have at most ${most} bytes.`);
}

/**
 * For what came as a value, not as a text that was measured.
 *
 * @throws ProblemError body-too-large, invalid-body
 */
export function checkMessage(value: unknown): void {
  checkShape(value);
  const text = textOf(value);
  // A UTF-16 unit is at most three bytes of UTF-8: only large ones need counting.
  if (text.length * 3 <= MAX_EVENT_BYTES) return;
  if (new TextEncoder().encode(text).byteLength > MAX_EVENT_BYTES) throw tooLarge();
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "";
  } catch (error) {
    // A queue may carry what JSON can't, a bigint say.
    const why = error instanceof Error ? error.message : String(error);
    throw refusal("invalid-body", `It can't be written as JSON: ${why}.`);
  }
}

/** @throws ProblemError invalid-body where it is too deep or names a prototype */
export function checkShape(root: unknown): void {
  const bad = findBadShape(root, 0);
  if (bad === null) return;
  // The whole path of a bomb would be one itself.
  const path = bad.path.toReversed().join(".");
  const field = path.length > 200 ? `${path.slice(0, 60)}…` : path;
  const detail = bad.isTooDeep
    ? `"${field}" is nested deeper than ${MAX_DEPTH}.`
    : `The field "${field}" is not allowed.`;
  throw refusal("invalid-body", detail, { field });
}

/** The path, innermost key first, of what must not be; it is gathered only where something is found. */
function findBadShape(
  value: unknown,
  depth: number,
): { path: string[]; isTooDeep: boolean } | null {
  if (typeof value !== "object" || value === null) return null;
  if (depth >= MAX_DEPTH) return { path: [], isTooDeep: true };
  for (const key of Object.keys(value)) {
    if (POISONOUS.has(key)) return { path: [key], isTooDeep: false };
    const found = findBadShape((value as Record<string, unknown>)[key], depth + 1);
    if (found === null) continue;
    found.path.push(key);
    return found;
  }
  return null;
}
