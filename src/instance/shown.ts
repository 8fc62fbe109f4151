import type { Incident, JournalEntry, Retrying } from "../contract/view.ts";
import { sends, type Sight } from "../kernel/access.ts";
import { joinContext, type ContextTexts } from "../kernel/changes.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";
import type { Viewer } from "./sight.ts";

/*
 * What somebody is shown of what there is. All that leaves an instance towards a caller passes here, so that
 * view, history, stream, simulation and errors tell each role the same.
 */

/** The context as JSON text, of the keys that are theirs to see. */
export function shownContext(texts: ContextTexts, sight: Sight): string {
  if (sight.everything) return joinContext(texts);
  return joinContext(new Map([...texts].filter(([key]) => sight.keys.has(key))));
}

/** Of an object the members that are theirs to see; of anything else nothing. */
export function shownMembers(value: unknown, sight: Sight): unknown {
  if (sight.everything) return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.fromEntries(Object.entries(value).filter(([key]) => sight.keys.has(key)));
}

/** Why something failed may quote anything: it is for those who see everything. */
export function shownIncidents<Shown extends Partial<Incident>>(
  incidents: readonly Shown[],
  sight: Sight,
): Omit<Shown, "error" | "mend">[] {
  if (sight.everything) return [...incidents];
  return incidents.map(({ error: _, mend: __, ...shown }) => shown);
}

export function shownRetrying(retrying: Retrying[], sight: Sight): Retrying[] {
  if (sight.everything) return retrying;
  return retrying.map(({ error: _, ...shown }) => shown);
}

/** A person's name is for those who see everything, and for that person. */
export function shownSubject(by: string, { caller, sight }: Viewer): string {
  const isInner = by === "timer" || by === "actor";
  return sight?.everything === true || isInner || by === caller.subject ? by : SOMEBODY;
}

const SOMEBODY = "somebody";

/**
 * A journal entry. Beside the keys of the context that are theirs to see, callers are shown what events carry
 * that they may send themselves, and of the input an instance was started with the same keys.
 */
export function shownEntry(
  workflow: Pick<RegisteredWorkflow, "events">,
  entry: JournalEntry,
  viewer: Viewer & { sight: Sight },
): JournalEntry {
  const { sight } = viewer;
  const { credential: _, ...rest } = entry;
  if (sight.operator) return entry;
  if (sight.everything) return rest;
  const { event, by, changes } = rest;
  const isTheirs = sends(workflow, event.type, sight);
  const { type, data, attributes } = event;
  const carried =
    type === "durachart.started" ? shownMembers(data, sight) : isTheirs ? data : undefined;
  const { status, context, why } = changes;
  const set = context === undefined ? {} : (shownMembers(context.set, sight) as object);
  const unset = (context?.unset ?? []).filter((key) => sight.keys.has(key));
  const isChanged = Object.keys(set).length + unset.length > 0;
  return {
    ...rest,
    event: {
      type,
      ...(carried === undefined ? {} : { data: carried }),
      ...(isTheirs && attributes !== undefined ? { attributes } : {}),
    },
    by: shownSubject(by, viewer),
    changes: {
      ...(status === undefined ? {} : { status }),
      ...(isChanged ? { context: { set: set as Record<string, unknown>, unset } } : {}),
      ...(isTheirs && why !== undefined ? { why } : {}),
    },
  };
}
