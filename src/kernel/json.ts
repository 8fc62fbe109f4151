import { isRef } from "./xstate.ts";

/** What is nested deeper is circular, or could not be sent or stored anyway. */
const MAX_DEPTH = 500;

/**
 * The path of the first value inside `value` that JSON would change or drop without a word (Date,
 * Map, function, NaN, undefined in a list …), or null where all of it survives. Properties that are
 * undefined are fine: they are simply absent afterwards.
 *
 * @param mayHoldRefs whether references to actors are fine too, as they are inside an instance
 */
export function findUnserialisable(
  value: unknown,
  path: string,
  mayHoldRefs = false,
): string | null {
  const found = find(value, 0, mayHoldRefs);
  return found === null ? null : path + found;
}

/** The rest of the path. It is put together only where something is found: this runs on every event. */
function find(value: unknown, depth: number, refs: boolean): string | null {
  switch (typeof value) {
    case "string":
    case "boolean":
      return null;
    case "number":
      return Number.isFinite(value) ? null : ` (${value})`;
    case "object":
      return value === null ? null : findInObject(value, depth, refs);
    default:
      return ` (${typeof value})`;
  }
}

function findInObject(value: object, depth: number, refs: boolean): string | null {
  if (depth > MAX_DEPTH) return " (nested too deep)";
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      const found = find(value[index], depth + 1, refs);
      if (found !== null) return `[${index}]${found}`;
    }
    return null;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    if (refs && isRef(value)) return null;
    return ` (${value.constructor?.name ?? "object"})`;
  }
  // Read back it would become an actor's reference; only our own may.
  if ("xstate$$type" in value) return ".xstate$$type (an actor's reference in disguise)";
  for (const key of Object.keys(value)) {
    const item = (value as Record<string, unknown>)[key];
    if (item === undefined) continue;
    const found = find(item, depth + 1, refs);
    if (found !== null) return `.${key}${found}`;
  }
  return null;
}
