import { createHash } from "node:crypto";
import type { AnyStateMachine } from "xstate";

/**
 * A released version's hash: over the chart and all that it names, the text of its functions included,
 * white space aside. What a function reaches beyond its own text is not seen.
 */
export function machineHash(machine: AnyStateMachine): string {
  const seen = new Map<object, number>();
  const { config, implementations } = machine;
  const text = JSON.stringify(asData({ config, implementations }, seen));
  return `sha256-${createHash("sha256").update(text).digest("base64url")}`;
}

/** XState's own parts of an action or a logic, the same in all of them. */
const INHERENT = new Set(["resolve", "execute", "check", "transition", "getInitialSnapshot"]);
const ALSO_INHERENT = new Set(["getPersistedSnapshot", "restoreSnapshot", "start"]);

function asData(value: unknown, seen: Map<object, number>): unknown {
  if (typeof value === "function" || (typeof value === "object" && value !== null)) {
    const known = seen.get(value);
    // A machine may name itself.
    if (known !== undefined) return { seen: known };
    seen.set(value, seen.size);
  }
  if (Array.isArray(value)) return value.map((part) => asData(part, seen));
  if (typeof value === "function") {
    const own = Object.entries(value).filter(([name]) => !INHERENT.has(name));
    // XState's own: only what they were given is the author's.
    const isBuiltIn =
      "check" in value || String((value as { type?: unknown }).type).startsWith("xstate.");
    const source = isBuiltIn ? "" : value.toString().replaceAll(/\s+/g, " ");
    return { source, own: members(own, seen) };
  }
  if (typeof value !== "object" || value === null) return value;
  const { config, implementations } = value as Partial<AnyStateMachine>;
  // A child machine is what it was made of.
  if (implementations !== undefined) {
    return members(Object.entries({ config: config as unknown, implementations }), seen);
  }
  const own = Object.entries(value).filter(
    ([name]) => !INHERENT.has(name) && !ALSO_INHERENT.has(name),
  );
  return members(own, seen);
}

function members(entries: [string, unknown][], seen: Map<object, number>): unknown {
  return Object.fromEntries(entries.map(([name, part]) => [name, asData(part, seen)]));
}
