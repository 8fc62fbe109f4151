import { refusal } from "../contract/problem.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";

/** A secret field of an event, and what stands in it. */
export interface Field {
  /** `{event type}.{path}` */
  name: string;
  value: unknown;
}

/** The paths of an event's secret fields, in whatever version of the workflow. */
export function secretPaths({ versions }: RegisteredWorkflow, type: string): string[] {
  const paths = new Set<string>();
  for (const { events } of versions.values()) {
    if (events === undefined || !Object.hasOwn(events, type)) continue;
    for (const path of events[type]!.secrets ?? []) paths.add(path);
  }
  return [...paths];
}

/** The data with other values in its secret fields; what isn't there stays so. */
export function withFields(
  type: string,
  data: unknown,
  paths: readonly string[],
  replace: (field: Field) => unknown,
): unknown {
  return walked(type, data, paths, replace, false);
}

/**
 * As `withFields`, of data that no schema has looked at: what stands in the place of an object around a
 * secret field may be the secret itself, and counts as the field.
 */
export function withFieldsOrWhatIsThere(
  type: string,
  data: unknown,
  paths: readonly string[],
  replace: (field: Field) => unknown,
): unknown {
  return walked(type, data, paths, replace, true);
}

function walked(
  type: string,
  data: unknown,
  paths: readonly string[],
  replace: (field: Field) => unknown,
  isUnchecked: boolean,
): unknown {
  let result = data;
  for (const path of paths)
    result = replaced(
      result,
      path.split("."),
      (value) => replace({ name: `${type}.${path}`, value }),
      isUnchecked,
    );
  return result;
}

function replaced(
  data: unknown,
  [key, ...rest]: readonly string[],
  replace: (value: unknown) => unknown,
  isUnchecked: boolean,
): unknown {
  if (key === undefined) return replace(data);
  if (Array.isArray(data)) {
    throw refusal(
      "invalid-body",
      "A secret field must not stand in a list: its path names members.",
    );
  }
  if (data === null || data === undefined) return data;
  if (typeof data !== "object") return isUnchecked ? replace(data) : data;
  if (!Object.hasOwn(data, key)) return data;
  const member = (data as Record<string, unknown>)[key];
  const next = replaced(member, rest, replace, isUnchecked);
  if (next === member) return data;
  return { ...data, [key]: next };
}
