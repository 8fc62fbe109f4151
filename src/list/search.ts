import { OWNER, type Attributes, type ListedIncident } from "../contract/projection.ts";
import { mine, type RealmRows } from "../contract/realm-rows.ts";
import type { View } from "../contract/view.ts";
import { ALL } from "./labels.ts";

/** What is looked for. All of it must be so. */
export interface Search {
  workflow: string;
  labels: readonly string[];
  /** Milliseconds since the epoch: created at that time or later. */
  createdAfter?: number;
  /** And before that one. */
  createdBefore?: number;
  /** Where the page before has ended. */
  after?: Position;
  limit: number;
}

/** Of an instance in the list: it never changes, so that pages have no doubles and no gaps. */
export interface Position {
  createdAt: number;
  object: string;
}

/** An instance as the list shows it. Times are ISO 8601, in UTC. */
export interface Listed {
  id: string;
  workflow: string;
  version: string;
  status: string;
  state: View["state"] | null;
  epoch: number;
  seq: number;
  incidents: ListedIncident[];
  attributes: Attributes;
  /** The subject whose it is; absent where it is nobody's. */
  owner?: string;
  due: string | null;
  createdAt: string;
  updatedAt: string;
}

interface Row {
  object: string;
  id: string;
  version: string;
  status: string;
  state: string;
  epoch: number;
  seq: number;
  incidents: string;
  attributes: string;
  due: number | null;
  created_at: number;
  updated_at: number;
}

/** @returns newest first, and where the next page begins; null on the last one */
export async function search(
  realm: RealmRows,
  wanted: Search,
): Promise<{ instances: Listed[]; next: Position | null }> {
  const { workflow, limit, after } = wanted;
  const [driver, ...others] = await rarestFirst(realm, wanted);
  const values: (string | number)[] = [workflow, driver!];
  // The realm is ?1 and ?2.
  const bind = (value: string | number): string => `?${values.push(value) + 2}`;
  const conditions = [
    `${mine("labels", "driver")} AND driver.workflow = ?3 AND driver.label = ?4`,
    mine("instances"),
    ...others.map(
      (label) => `EXISTS (SELECT 1 FROM labels WHERE ${mine("labels")} AND workflow = ?3
        AND label = ${bind(label)} AND created_at = driver.created_at AND object = driver.object)`,
    ),
  ];
  if (wanted.createdAfter !== undefined) {
    conditions.push(`driver.created_at >= ${bind(wanted.createdAfter)}`);
  }
  if (wanted.createdBefore !== undefined) {
    conditions.push(`driver.created_at < ${bind(wanted.createdBefore)}`);
  }
  if (after !== undefined) {
    const position = `(${bind(after.createdAt)}, ${bind(after.object)})`;
    conditions.push(`(driver.created_at, driver.object) < ${position}`);
  }
  // A cross join keeps the order of the tables: the label's rows are read in their own order.
  const statement = `
    SELECT instances.* FROM labels AS driver CROSS JOIN instances
        ON instances.object = driver.object
      WHERE ${conditions.join(" AND ")}
      ORDER BY driver.created_at DESC, driver.object DESC LIMIT ${bind(limit + 1)}`;
  const results = await realm.all<Row>(statement, ...values);
  const rows = results.slice(0, limit);
  const last = rows.at(-1);
  const hasMore = results.length > limit && last !== undefined;
  return {
    instances: rows.map((row) => listed(workflow, row)),
    next: hasMore ? { createdAt: last.created_at, object: last.object } : null,
  };
}

/** How many instances of a workflow have each status and each state, their parents' states too. */
export async function countsOf(
  realm: RealmRows,
  { workflow }: Pick<Search, "workflow">,
): Promise<{ status: Record<string, number>; state: Record<string, number> }> {
  const counts = { status: {} as Record<string, number>, state: {} as Record<string, number> };
  const results = await realm.all<{ label: string; count: number }>(
    `SELECT label, count FROM counts WHERE ${mine("counts")} AND workflow = ?3 AND count > 0
       AND ((label >= 'status:' AND label < 'status;') OR (label >= 'state:' AND label < 'state;'))`,
    workflow,
  );
  for (const { label, count } of results) {
    const colon = label.indexOf(":");
    counts[label.slice(0, colon) as keyof typeof counts][label.slice(colon + 1)] = count;
  }
  return counts;
}

/** The label that the fewest instances have drives the search: attributes are not counted, being rare. */
async function rarestFirst(
  realm: RealmRows,
  { workflow, labels }: Search,
): Promise<readonly string[]> {
  if (labels.length === 0) return [ALL];
  const attribute = labels.find((label) => label.startsWith("attribute:"));
  if (attribute !== undefined) return [attribute, ...labels.filter((one) => one !== attribute)];
  if (labels.length === 1) return labels;
  const results = await realm.all<{ label: string; count: number }>(
    `SELECT label, count FROM counts WHERE ${mine("counts")} AND workflow = ?3
       AND label IN (SELECT value FROM json_each(?4))`,
    workflow,
    JSON.stringify(labels),
  );
  const countOf = new Map(results.map(({ label, count }) => [label, count]));
  return labels.toSorted((a, b) => (countOf.get(a) ?? 0) - (countOf.get(b) ?? 0));
}

function listed(workflow: string, row: Row): Listed {
  const { id, version, status, epoch, seq } = row;
  const { [OWNER]: owner, ...attributes } = JSON.parse(row.attributes) as Attributes;
  return {
    ...{ id, workflow, version, status },
    state: JSON.parse(row.state) as Listed["state"],
    ...{ epoch, seq },
    incidents: JSON.parse(row.incidents) as ListedIncident[],
    attributes,
    ...(owner === undefined ? {} : { owner: String(owner) }),
    due: row.due === null ? null : new Date(row.due).toISOString(),
    createdAt: new Date(row.created_at).toISOString(),
    updatedAt: new Date(row.updated_at).toISOString(),
  };
}
