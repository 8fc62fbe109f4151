import type { Caller } from "../contract/caller.ts";
import type { Allowances } from "../tenants/allowances.ts";
import { authenticate, type TokenSettings } from "./token.ts";

/**
 * Who is asking, and that their tenant may ask now: the one way through the front door.
 *
 * @throws ProblemError unauthenticated, too-many-requests, not-configured
 */
export async function admit(
  request: Request,
  settings: TokenSettings,
  allowances: Allowances,
): Promise<Caller> {
  const caller = await authenticate(request, settings);
  await allowances.take(caller.tenant, "requests", 1);
  return caller;
}
