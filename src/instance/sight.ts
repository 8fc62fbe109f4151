import type { Caller } from "../contract/caller.ts";
import { joinContext } from "../kernel/changes.ts";
import { maySend, sightOf, type Sight } from "../kernel/access.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { RuledInstance } from "../kernel/workflow.ts";
import { readStored, type Live } from "./live.ts";
import { notFound } from "./not-found.ts";
import type { Identity, Store } from "./store.ts";

/** Somebody who looks at an instance, and what they see of it. */
export interface Viewer {
  caller: Caller;
  /** Null where they have lost sight of it by what they did themselves. */
  sight: Sight | null;
}

type Owned = Pick<Identity, "startedBy">;

const owners = new WeakMap<object, string | null>();

/** Whose an instance is. A function of the author's that throws, or gives no text, says nobody's. */
export function ownerOf(
  workflow: Pick<RegisteredWorkflow, "owner"> | undefined,
  { startedBy }: Owned,
  context: () => unknown,
): string | null {
  if (workflow?.owner === undefined) return startedBy;
  try {
    const owner: unknown = workflow.owner({ context: context() as never, startedBy });
    return typeof owner === "string" && owner !== "" ? owner : null;
  } catch {
    return null;
  }
}

export function ownerNow({ workflow, identity, texts }: Live): string | null {
  if (workflow.owner === undefined) return identity.startedBy;
  let owner = owners.get(texts);
  if (owner === undefined) {
    // From its text: what the author's function alters must not be the instance's own context.
    owner = ownerOf(workflow, identity, () => JSON.parse(joinContext(texts)));
    owners.set(texts, owner);
  }
  return owner;
}

/** What the caller sees of an instance; null where for them it isn't there. */
export function sightNow(live: Live, caller: Caller): Sight | null {
  // Whose it is costs something: operators are not asked.
  if (caller.roles.includes("operator")) return sightOf(live.workflow, caller.roles, false);
  return sightOf(live.workflow, caller.roles, ownerNow(live) === caller.subject);
}

/** @throws ProblemError not-found where for the caller there is no such instance */
export function viewerOf(live: Live, caller: Caller): Viewer & { sight: Sight } {
  const sight = sightNow(live, caller);
  if (sight === null) throw notFound(live.identity.workflow, live.identity.id);
  return { caller, sight };
}

/** As `viewerOf`, of an instance as its rows stand: the deployment may not be able to run it. */
export function viewerOfStored(
  store: Store,
  workflows: ReadonlyMap<string, RegisteredWorkflow>,
  caller: Caller,
): Viewer & { sight: Sight } {
  const identity = store.identity();
  const newest = workflows.get(identity.workflow);
  const workflow = newest?.versions.get(identity.version) ?? newest;
  const sight = sightOf(
    workflow ?? NOTHING_KNOWN,
    caller.roles,
    !caller.roles.includes("operator") &&
      ownerOf(workflow, identity, () => readStored(store).machine.context) === caller.subject,
  );
  if (sight === null) throw notFound(identity.workflow, identity.id);
  return { caller, sight };
}

const NOTHING_KNOWN = { access: {} };

/** The instance as a rule of the author's may look at it. */
function ruled(live: Live): RuledInstance {
  return {
    id: live.identity.id,
    owner: ownerNow(live),
    get context() {
      return JSON.parse(joinContext(live.texts)) as Record<string, unknown>;
    },
  };
}

export function mayBeSent(live: Live, type: string, { caller, sight }: Viewer): boolean {
  if (sight === null) return false;
  if (sight.operator) return true;
  const { subject, roles } = caller;
  return maySend(live.workflow, type, sight, { subject, roles }, ruled(live));
}
