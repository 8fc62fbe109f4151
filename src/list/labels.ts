import { OWNER, type Projection } from "../contract/projection.ts";

/** Every instance that is listed has it. */
export const ALL = "all";

export const labelOf = {
  status: (status: string) => `status:${status}`,
  state: (path: string) => `state:${path}`,
  version: (version: string) => `version:${version}`,
  incident: (kind: string) => `incident:${kind}`,
  owner: (subject: string) => `attribute:${OWNER}=${subject}`,
  attribute: (name: string, value: string | number | boolean) => `attribute:${name}=${value}`,
};

/** Of any kind. */
const ANY = "any";

/** All that an instance can be found by; in order, so that the same instance has the same text. */
export function labelsOf(projection: Projection): string[] {
  const { status, states, version, incidents, attributes } = projection;
  if (status === "erased") return [];
  const labels = new Set([
    ALL,
    labelOf.status(status),
    labelOf.version(version),
    ...states.map(labelOf.state),
    ...incidents.map(({ kind }) => labelOf.incident(kind)),
    ...(incidents.length === 0 ? [] : [labelOf.incident(ANY)]),
    ...Object.entries(attributes).map(([name, value]) => labelOf.attribute(name, value)),
  ]);
  return [...labels].toSorted();
}
