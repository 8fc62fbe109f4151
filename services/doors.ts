import type { Caller } from "../src/contract/caller.ts";
import { admit } from "../src/ingress/admit.ts";
import type { TokenSettings } from "../src/ingress/token.ts";
import { limits } from "../src/limits.ts";
import { Allowances } from "../src/tenants/allowances.ts";

/** What the tenant of whoever comes may still do, by the orchestrator's own count. */
export function allowancesIn(env: unknown): Allowances {
  return new Allowances(env, limits);
}

/**
 * Who comes with a token of their own, and that their tenant may ask now: every door of a service is this
 * one (test/repository/doors.test.ts).
 *
 * @throws ProblemError unauthenticated, too-many-requests, not-configured
 */
export function admitted(request: Request, env: TokenSettings): Promise<Caller> {
  return admit(request, env, allowancesIn(env));
}
