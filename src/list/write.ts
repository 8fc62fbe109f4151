import type { Projection } from "../contract/projection.ts";
import { labelsOf } from "./labels.ts";

/**
 * Writes what instances tell of themselves, with one statement: a list goes as JSON, since D1 binds at
 * most 100 parameters. What is older than what is there changes nothing. Triggers keep labels, counts
 * and alerts in the same statement.
 */
export async function write(
  database: D1Database,
  projections: readonly Projection[],
): Promise<void> {
  const rows = newestOf(projections).map(rowOf);
  await database.prepare(STATEMENT).bind(JSON.stringify(rows)).run();
}

const COLUMNS = [
  ...["object", "tenant", "workflow", "id", "jurisdiction", "epoch", "seq", "revision", "version"],
  ...["status", "state", "attributes", "incidents", "due", "created_at", "updated_at", "labels"],
  "head",
];

/** What never changes. */
const KEY = new Set(["object", "tenant", "workflow"]);

const STATEMENT = `
  INSERT INTO instances (${COLUMNS.join(", ")})
    SELECT ${COLUMNS.map((column) => `value ->> '${column}'`).join(", ")}
      FROM json_each(?) WHERE true
    ON CONFLICT (object) DO UPDATE SET
      ${COLUMNS.filter((column) => !KEY.has(column))
        .map((column) => `${column} = excluded.${column}`)
        .join(", ")}
      WHERE (excluded.epoch, excluded.seq, excluded.revision) > (epoch, seq, revision)`;

/** One statement can't meet the same row twice with the newest winning, whatever their order. */
function newestOf(projections: readonly Projection[]): Projection[] {
  const newest = new Map<string, Projection>();
  for (const projection of projections) {
    const known = newest.get(projection.object);
    if (known === undefined || isNewer(projection, known)) {
      newest.set(projection.object, projection);
    }
  }
  return [...newest.values()];
}

function isNewer(one: Projection, other: Projection): boolean {
  if (one.epoch !== other.epoch) return one.epoch > other.epoch;
  if (one.seq !== other.seq) return one.seq > other.seq;
  return one.revision > other.revision;
}

/** Values within the row that are JSON themselves are texts: as such they are stored. */
function rowOf(projection: Projection): Record<string, unknown> {
  const { object, tenant, workflow, epoch, seq, revision, status } = projection;
  const kept = { object, tenant, workflow, epoch, seq, revision, status };
  const { createdAt: created_at, updatedAt: updated_at } = projection;
  const labels = JSON.stringify(labelsOf(projection));
  // What says that it is newer than anything still under way, and nothing else.
  if (status === "erased") return { ...kept, created_at: 0, updated_at: 0, labels };
  const { id, jurisdiction, version, due, state, attributes, incidents, head } = projection;
  return {
    ...kept,
    ...{ id, jurisdiction, version, due, created_at, updated_at, labels, head },
    state: JSON.stringify(state),
    attributes: JSON.stringify(attributes),
    incidents: JSON.stringify(incidents),
  };
}
