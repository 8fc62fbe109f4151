import type { ListedIncident } from "../contract/projection.ts";
import { mine, type RealmRows } from "../contract/realm-rows.ts";
import type { ListedLetter } from "./letters.ts";

/** A message that an instance keeps parked, named for everybody who asks. */
export interface Parked {
  workflow: string;
  instance: string;
  incident: string;
}

const PREFIX = "parked~";

function parkedId({ workflow, instance, incident }: Parked): string {
  return `${PREFIX}${workflow}~${encodeURIComponent(incident)}~${instance}`;
}

/** @returns null for another letter's id */
export function readParkedId(id: string): Parked | null {
  const [, workflow, incident, instance] = /^parked~([a-z0-9-]+)~([^~]+)~(.+)$/.exec(id) ?? [];
  if (workflow === undefined) return null;
  try {
    return { workflow, incident: decodeURIComponent(incident!), instance: instance! };
  } catch {
    return null;
  }
}

interface Row {
  id: string;
  incidents: string;
  updated_at: number;
}

/** Messages that the tenant's instances keep parked, as far as the list knows; newest instances first. */
export async function listParked(
  rows: RealmRows,
  wanted: {
    workflows: readonly string[];
    limit: number;
  },
): Promise<ListedLetter[]> {
  const found: ListedLetter[] = [];
  for (const workflow of wanted.workflows) {
    const results = await rows.all<Row>(
      `SELECT instances.id, instances.incidents, instances.updated_at
         FROM labels CROSS JOIN instances ON instances.object = labels.object
         WHERE ${mine("labels")} AND labels.workflow = ?3
           AND labels.label = 'incident:exhausted' AND ${mine("instances")}
         ORDER BY labels.created_at DESC LIMIT ?4`,
      ...[workflow, wanted.limit],
    );
    for (const row of results) found.push(...lettersOf(workflow, row));
    if (found.length >= wanted.limit) break;
  }
  return found.slice(0, wanted.limit);
}

function lettersOf(workflow: string, { id: instance, incidents, updated_at }: Row): ListedLetter[] {
  return (JSON.parse(incidents) as ListedIncident[]).flatMap(({ id, kind, what, error }) => {
    if (kind !== "exhausted" || id === undefined) return [];
    return {
      id: parkedId({ workflow, instance, incident: id }),
      origin: `instance:${workflow}/${instance}`,
      status: "dead" as const,
      subject: `${workflow}/${instance}`,
      type: what,
      reason: { detail: error },
      attempts: null,
      filedAt: new Date(updated_at).toISOString(),
    };
  });
}
