const MAX_PATH = 2_000;

/**
 * The path of the first value inside `value` that JSON would change or drop without a word (Date,
 * Map, function, NaN, undefined in a list …), or null where all of it survives. Properties that are
 * undefined are fine: they are simply absent afterwards.
 */
export function findUnserialisable(value: unknown, path: string): string | null {
  // What is nested so deep is circular, or can't be sent or stored anyway.
  if (path.length > MAX_PATH) return `${path.slice(0, 60)}… (nested too deep)`;
  switch (typeof value) {
    case "string":
    case "boolean":
      return null;
    case "number":
      return Number.isFinite(value) ? null : `${path} (${value})`;
    case "object":
      return value === null ? null : findInObject(value, path);
    default:
      return `${path} (${typeof value})`;
  }
}

function findInObject(value: object, path: string): string | null {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      const found = findUnserialisable(item, `${path}[${index}]`);
      if (found !== null) return found;
    }
    return null;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    return `${path} (${value.constructor?.name ?? "object"})`;
  }
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const found = findUnserialisable(item, `${path}.${key}`);
    if (found !== null) return found;
  }
  return null;
}
