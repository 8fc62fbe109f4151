import { decodeJwt, decodeProtectedHeader } from "jose";
import type { Caller } from "../../src/contract/caller.ts";
import { refusal } from "../../src/contract/problem.ts";
import { authenticateHeader, type TokenSettings } from "../../src/ingress/token.ts";
import { publishedTo } from "./published.ts";
import type { Settings } from "./settings.ts";

/** Who is asking, by a token of the service's own. @throws ProblemError unauthenticated */
export function callerOf(
  settings: Settings,
  authorization: string | null,
  env: TokenSettings,
): Promise<Caller> {
  const AUTH = { published: () => publishedTo(settings, Date.now()) };
  return authenticateHeader(authorization, { ...env, AUTH });
}

/**
 * An administrator, as she is now: a door may know up to a minute late that her session was ended or the
 * key withdrawn. By then somebody who was one could have made herself one again, or a client that is.
 *
 * @throws ProblemError unauthenticated, forbidden
 */
export async function requireAdministrator(
  settings: Settings,
  authorization: string | null,
  env: TokenSettings,
): Promise<Caller> {
  const caller = await callerOf(settings, authorization, env);
  if (!caller.roles.includes("administrator")) {
    throw refusal("forbidden", "This is for the role administrator.");
  }
  const token = authorization!.replace(/^Bearer +/i, "");
  const ended = await settings.database
    .prepare(
      `SELECT 1 WHERE EXISTS (SELECT 1 FROM revocations WHERE sid = ?)
         OR EXISTS (SELECT 1 FROM signing_keys WHERE kid = ? AND withdrawn_at IS NOT NULL)`,
    )
    .bind(decodeJwt(token)["sid"] ?? null, decodeProtectedHeader(token).kid ?? null)
    .first();
  if (ended === null) return caller;
  throw refusal("unauthenticated", "The session of this token was ended.");
}
