import type { FileLetters } from "./contract/dead-letter.ts";
import { fileLetters } from "./dead-letters/file.ts";
import { databaseOf, databasesOf } from "./contract/databases.ts";

/** Files dead letters in the list's databases; null where there are none. */
export function filingIn(env: unknown): FileLetters | null {
  const databases = databasesOf(env);
  if (databases.length === 0) return null;
  return (letters) => fileLetters((tenant) => databaseOf(databases, tenant), letters);
}
