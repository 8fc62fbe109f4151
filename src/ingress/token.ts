import { createLocalJWKSet, decodeJwt, jwtVerify, type JSONWebKeySet, type JWTPayload } from "jose";
import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { jurisdiction } from "./jurisdiction.ts";

/** Without these nobody gets in. */
export interface TokenSettings {
  /** The issuer's public keys: a JSON Web Key Set, as text. */
  TOKEN_KEYS?: string;
  TOKEN_ISSUER?: string;
  TOKEN_AUDIENCE?: string;
}

/** Verified tokens kept in memory; a token is verified once an isolate, and never past its end. */
const MAX_REMEMBERED = 1_000;
const remembered = new Map<string, { caller: Caller; expires: number; settings: string }>();

const claims = v.object({
  sub: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  exp: v.number(),
  tenant: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,100}$/)),
  jurisdiction,
  roles: v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(50))),
  /** Separated by spaces. */
  scope: v.optional(v.pipe(v.string(), v.maxLength(1_000))),
});

/**
 * Who is asking, by the bearer token (RFC 6750) of a request.
 *
 * @throws ProblemError unauthenticated; not-configured where the settings are missing
 */
export async function authenticate(request: Request, settings: TokenSettings): Promise<Caller> {
  const [scheme, token] = (request.headers.get("authorization") ?? "").split(" ", 2);
  if (scheme?.toLowerCase() !== "bearer" || token === undefined || token === "") {
    throw refusal("unauthenticated", "Send an Authorization: Bearer token.");
  }
  const { TOKEN_KEYS, TOKEN_ISSUER, TOKEN_AUDIENCE } = settings;
  if (!TOKEN_KEYS || !TOKEN_ISSUER || !TOKEN_AUDIENCE) {
    throw refusal(
      "not-configured",
      "TOKEN_KEYS, TOKEN_ISSUER and TOKEN_AUDIENCE must be set before anybody gets in.",
    );
  }
  const settingsText = `${TOKEN_ISSUER} ${TOKEN_AUDIENCE} ${TOKEN_KEYS}`;
  const known = remembered.get(token);
  if (known !== undefined && known.expires > Date.now() && known.settings === settingsText) {
    return known.caller;
  }
  const caller = await verify(token, TOKEN_KEYS, TOKEN_ISSUER, TOKEN_AUDIENCE);
  if (remembered.size >= MAX_REMEMBERED) remembered.clear();
  remembered.set(token, { ...caller, settings: settingsText });
  return caller.caller;
}

/**
 * When the token of a request ends, in milliseconds since the epoch: for what outlives the request.
 *
 * @param request one that `authenticate` has let in
 */
export function endOf(request: Request): number {
  const [, token = ""] = (request.headers.get("authorization") ?? "").split(" ", 2);
  return (decodeJwt(token).exp ?? 0) * 1_000;
}

async function verify(token: string, keys: string, issuer: string, audience: string) {
  let payload: JWTPayload;
  try {
    const keySet = createLocalJWKSet(JSON.parse(keys) as JSONWebKeySet);
    // The algorithms are fixed: what the token itself asks for is never believed (RFC 8725, 3.1).
    const options = { algorithms: ["EdDSA"], issuer, audience, typ: "at+jwt" };
    ({ payload } = await jwtVerify(token, keySet, options));
  } catch (error) {
    throw refusal("unauthenticated", `The token was refused: ${(error as Error).message}`);
  }
  const result = v.safeParse(claims, payload);
  if (!result.success) {
    throw refusal("unauthenticated", "The token lacks a claim, or has a malformed one.");
  }
  const { sub, exp, tenant, jurisdiction, roles, scope } = result.output;
  const caller: Caller = {
    tenant,
    subject: sub,
    roles,
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    ...(scope === undefined ? {} : { scopes: scope.split(" ") }),
  };
  return { caller, expires: exp * 1_000 };
}
