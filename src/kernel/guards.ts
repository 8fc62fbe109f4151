import type { AnyMachineSnapshot, EventObject } from "xstate";
import { combined, passes } from "./xstate.ts";

/** What a guard says of an event of which only the type is known; `throws`: whatever the event carries. */
export type Foretold = "passes" | "fails" | "depends" | "throws";

/** What a guard is asked about. */
export interface Question {
  snapshot: AnyMachineSnapshot;
  about: { context: unknown; event: EventObject };
}

/** Thrown at a guard that goes for what isn't known, or tries to alter what it is shown. */
const UNKNOWN = new Error("Only the event's type is known now, and nothing may be altered.");

/** That a guard went for it, should it catch what is thrown. */
let wentForIt = false;

function refuse(): never {
  wentForIt = true;
  throw UNKNOWN;
}

const alterations: ProxyHandler<object> = {
  set: refuse,
  defineProperty: refuse,
  deleteProperty: refuse,
  setPrototypeOf: refuse,
  preventExtensions: refuse,
};

/** An event of which only the type can be read; null where that isn't known either. */
export function eventOf(type: string | null): EventObject {
  const isKnown = (key: PropertyKey): boolean => key === "type" && type !== null;
  return new Proxy<EventObject>(
    { type: type ?? "" },
    {
      ...(alterations as ProxyHandler<EventObject>),
      get: (event, key) => (isKnown(key) ? event.type : refuse()),
      has: (_, key) => key === "type" || refuse(),
      getOwnPropertyDescriptor: (event, key) =>
        isKnown(key) ? Reflect.getOwnPropertyDescriptor(event, key) : refuse(),
      ownKeys: refuse,
    },
  );
}

const views = new WeakMap<object, object>();

const reading: ProxyHandler<object> = {
  ...alterations,
  get: (target, key) => readOnly(Reflect.get(target, key) as unknown),
};

/** The same, as deep as it is looked into, but for plain objects and lists that can't be altered. */
export function readOnly(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  const known = views.get(value);
  if (known !== undefined) return known;
  const prototype: unknown = Object.getPrototypeOf(value);
  // Not of references to actors: guards compare them, and can't alter them.
  const isData = prototype === Object.prototype || prototype === Array.prototype;
  // A proxy must show what is frozen as it is.
  if (!isData || Object.isFrozen(value)) return value;
  const view = new Proxy(value, reading);
  views.set(value, view);
  return view;
}

/**
 * What a guard will say, by asking it. What it is shown must come from `eventOf` and `readOnly`, so
 * that asking changes nothing.
 */
export function foretell(guard: unknown, question: Question): Foretold {
  try {
    return ask(guard, question);
  } catch {
    // A combination that contains itself.
    return "throws";
  }
}

function ask(guard: unknown, question: Question): Foretold {
  const { snapshot, about } = question;
  const combination = combined(snapshot.machine, guard);
  if (combination === null) return askOne(guard, question);
  const { by, guards } = combination;
  if (by === "not") {
    const inner = ask(guards[0], question);
    if (inner === "passes") return "fails";
    return inner === "fails" ? "passes" : inner;
  }
  // One of them alone may decide, whatever the others depend on.
  const decisive = by === "and" ? "fails" : "passes";
  let depends = false;
  for (const one of guards) {
    const says = ask(one, { snapshot, about });
    if (says === decisive || says === "throws") return says;
    if (says === "depends") depends = true;
  }
  if (depends) return "depends";
  return by === "and" ? "passes" : "fails";
}

function askOne(guard: unknown, { snapshot, about }: Question): Foretold {
  wentForIt = false;
  try {
    const says = passes(guard, snapshot, about);
    if (wentForIt) return "depends";
    return says ? "passes" : "fails";
  } catch {
    return wentForIt ? "depends" : "throws";
  }
}
