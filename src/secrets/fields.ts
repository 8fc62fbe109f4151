import { refusal } from "../contract/problem.ts";
import type { RegisteredWorkflow } from "../kernel/registration.ts";

/** A secret field of an event, and what stands in it. */
export interface Field {
  /** `{event type}.{path}`; the event's type alone where something else stands around it. */
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
  return walked(type, data, paths, replace, null);
}

/**
 * As `withFields`, of data that no schema has looked at: what stands in the place of an object around a
 * secret field may be the secret itself, and is replaced as such.
 */
export function withFieldsOrWhatIsThere(
  type: string,
  data: unknown,
  paths: readonly string[],
  replace: (field: Field) => unknown,
): unknown {
  return walked(type, data, paths, replace, (value) => replace({ name: type, value }));
}

function walked(
  type: string,
  data: unknown,
  paths: readonly string[],
  replace: (field: Field) => unknown,
  instead: ((value: unknown) => unknown) | null,
): unknown {
  let result = data;
  for (const path of paths)
    result = replaced(
      result,
      path.split("."),
      (value) => replace({ name: `${type}.${path}`, value }),
      instead,
    );
  return result;
}

function replaced(
  data: unknown,
  [key, ...rest]: readonly string[],
  replace: (value: unknown) => unknown,
  instead: ((value: unknown) => unknown) | null,
): unknown {
  if (key === undefined) return replace(data);
  if (Array.isArray(data)) {
    throw refusal(
      "invalid-body",
      "A secret field must not stand in a list: its path names members.",
    );
  }
  if (data === null || data === undefined) return data;
  if (typeof data !== "object") return instead === null ? data : instead(data);
  if (!Object.hasOwn(data, key)) return data;
  const member = (data as Record<string, unknown>)[key];
  const next = replaced(member, rest, replace, instead);
  if (next === member) return data;
  return { ...data, [key]: next };
}
