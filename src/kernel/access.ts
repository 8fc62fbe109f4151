import type { RegisteredWorkflow } from "./registration.ts";
import type { EventDefinition, Role, Rule, RuledInstance, Sender } from "./workflow.ts";

type Ruled = Pick<RegisteredWorkflow, "access" | "events">;

/** What somebody sees of an instance, and by which of their roles they reach it. */
export interface Sight {
  /** An operator, or as good as one for looking. */
  everything: boolean;
  operator: boolean;
  roles: ReadonlySet<Role>;
  /** Keys of the context. */
  keys: ReadonlySet<string>;
}

const OPERATOR: Sight = {
  ...{ everything: true, operator: true },
  ...{ roles: new Set(["operator"]), keys: new Set() },
};

/** Few roles and their combinations occur; they come from signed tokens. */
const MAX_REMEMBERED = 200;
const remembered = new WeakMap<object, Map<string, Sight | null>>();

/**
 * What the roles give of an instance. The same roles give the same object, so that what depends on it can
 * be remembered with it.
 *
 * @returns null where they don't reach it: for them it isn't there
 */
export function sightOf(workflow: Ruled, roles: readonly Role[], isOwner: boolean): Sight | null {
  if (roles.includes("operator")) return OPERATOR;
  let known = remembered.get(workflow);
  if (known === undefined) remembered.set(workflow, (known = new Map()));
  const key = `${isOwner} ${JSON.stringify(roles)}`;
  let sight = known.get(key);
  if (sight === undefined) {
    sight = newSight(workflow, roles, isOwner);
    if (known.size >= MAX_REMEMBERED) known.clear();
    known.set(key, sight);
  }
  return sight;
}

function newSight(workflow: Ruled, roles: readonly Role[], isOwner: boolean): Sight | null {
  const reaching = roles.filter(
    (role) => knows(workflow, role) && (isOwner || reachOf(workflow, role) === "all"),
  );
  if (reaching.length === 0) return null;
  const sees = reaching.map((role) => accessOf(workflow, role).sees ?? []);
  return {
    everything: sees.includes("everything"),
    operator: false,
    roles: new Set(reaching),
    keys: new Set(sees.flatMap((keys) => (keys === "everything" ? [] : keys))),
  };
}

/** Whether a role has anything to do with the workflow: registration sees to it that senders are named. */
function knows({ access }: Ruled, role: Role): boolean {
  return Object.hasOwn(access, role);
}

/** Which instances such a caller can find at all; null for none. */
export function reachOfAll(workflow: Ruled, roles: readonly Role[]): "own" | "all" | null {
  if (roles.includes("operator")) return "all";
  const known = roles.filter((role) => knows(workflow, role));
  if (known.length === 0) return null;
  return known.some((role) => reachOf(workflow, role) === "all") ? "all" : "own";
}

function reachOf(workflow: Ruled, role: Role): "own" | "all" {
  return accessOf(workflow, role).instances ?? "own";
}

function accessOf({ access }: Ruled, role: Role) {
  return Object.hasOwn(access, role) ? access[role]! : {};
}

/** Whether somebody may start an instance with such an input. */
export function mayStart(
  workflow: Ruled,
  { subject, roles }: Sender,
  { id, input }: { id: string; input: unknown },
): boolean {
  if (roles.includes("operator")) return true;
  return roles.some((role) => {
    const { start = false } = accessOf(workflow, role);
    if (typeof start === "boolean") return start;
    return holds(() => start({ id, input, caller: { subject, roles } }));
  });
}

/** Whether somebody who reaches an instance may send it such an event now. */
export function maySend(
  { events }: Ruled,
  type: string,
  sight: Sight,
  sender: Sender,
  instance: RuledInstance,
): boolean {
  if (sight.operator) return true;
  return rulesOf(events, type).some((one) => {
    if (!sight.roles.has(roleOf(one))) return false;
    return typeof one === "string" || holds(() => one.when(instance, sender));
  });
}

/** Whether such an event is theirs to send, whatever the instance is like: then they see what it carries. */
export function sends({ events }: Pick<Ruled, "events">, type: string, sight: Sight): boolean {
  return sight.everything || rulesOf(events, type).some((one) => sight.roles.has(roleOf(one)));
}

export function rulesOf(
  events: RegisteredWorkflow["events"],
  type: string,
): NonNullable<EventDefinition["from"]> {
  return (events !== undefined && Object.hasOwn(events, type) && events[type]!.from) || [];
}

export function roleOf(rule: Role | Rule): Role {
  return typeof rule === "string" ? rule : rule.role;
}

/** A rule that throws says no. */
function holds(rule: () => unknown): boolean {
  try {
    // Nothing but true is a yes: of a promise, too, nobody waits for what it says.
    return rule() === true;
  } catch {
    return false;
  }
}
