import type { Caller } from "../src/contract/caller.ts";
import { refusal } from "../src/contract/problem.ts";

/** @throws ProblemError forbidden unless the caller is a service or an operator */
export function requireStaff({ roles }: Caller, place: string): void {
  if (roles.some((role) => role === "service" || role === "operator")) return;
  throw refusal("forbidden", `The ${place} is for services and operators.`);
}
