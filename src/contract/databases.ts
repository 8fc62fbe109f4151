import { fnv1a } from "./hash.ts";

/**
 * The list's databases: LIST, or LIST_1, LIST_2 and so on where one is not enough. The numbers must
 * have no gap.
 */
export function databasesOf(env: unknown): D1Database[] {
  const bindings = (env ?? {}) as Record<string, unknown>;
  const found: D1Database[] = [];
  if (isDatabase(bindings["LIST"])) found.push(bindings["LIST"]);
  for (let number = 1; ; number++) {
    const database = bindings[`LIST_${number}`];
    if (!isDatabase(database)) return found;
    found.push(database);
  }
}

/** A tenant is in one database as a whole. With another number of databases it is another: reindex. */
export function databaseOf(databases: readonly D1Database[], tenant: string): D1Database {
  return databases[fnv1a(tenant) % databases.length]!;
}

function isDatabase(binding: unknown): binding is D1Database {
  return typeof (binding as Partial<D1Database> | undefined)?.prepare === "function";
}
