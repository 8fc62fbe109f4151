import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";

/** What a token may open beside what its roles do: the claim `scope` (RFC 9068, section 2.2.3). */
export type Scope = "dead-letters";

/** @throws ProblemError forbidden */
export function requireScope({ scopes = [] }: Caller, scope: Scope): void {
  if (scopes.includes(scope)) return;
  throw refusal("forbidden", `This is for tokens with the scope "${scope}".`);
}
