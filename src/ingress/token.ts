import { waitUntil } from "cloudflare:workers";
import { decodeJwt, jwtVerify, type JWTHeaderParameters, type JWTPayload } from "jose";
import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import { jurisdiction } from "./jurisdiction.ts";
import { KeyRing, type Algorithm, type Known } from "./keys.ts";
import {
  claimNames,
  kindOf,
  sourceOf,
  type ClaimNames,
  type TokenSettings,
} from "./token-settings.ts";

export type { TokenSettings };

/** Characters of a token. */
const MAX_TOKEN = 4_096;
/** Seconds by which the issuer's clock and ours may differ. */
const TOLERANCE = 5;
/** Verified tokens kept in memory; a token is verified once an isolate, and never past its end. */
const MAX_REMEMBERED = 1_000;
/** Settings kept at once: a Worker has one. */
const MAX_DOORS = 8;

/** RFC 6750, 2.1; several Authorization headers come joined by a comma, which no token has. */
const BEARER = /^Bearer +([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)$/i;
/** Where a token would bring its own key, or demand what we may not know. */
const NEVER = ["jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip"];

const claims = v.object({
  sub: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  exp: v.number(),
  iat: v.optional(v.number()),
  jti: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200))),
  sid: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200))),
  tenant: v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,100}$/)),
  jurisdiction,
  roles: v.array(v.pipe(v.string(), v.minLength(1), v.maxLength(50))),
  /** Separated by spaces. */
  scope: v.optional(v.pipe(v.string(), v.maxLength(1_000))),
});

interface Verified {
  caller: Caller;
  kid: string;
  sid: string | undefined;
  /** Seconds since the epoch. */
  issued: number;
  /** Milliseconds since the epoch. */
  expires: number;
}

/** What one set of settings lets in. */
interface Door {
  keys: KeyRing;
  issuer: string;
  audience: string;
  names: ClaimNames;
  algorithms: Algorithm[];
  /** The `typ` of a token's header. */
  type: string;
  /** By the token itself; the one that was used longest ago comes first. */
  remembered: Map<string, Verified>;
}

const doors = new Map<string, Door>();

/**
 * Who is asking, by the bearer token (RFC 6750) of a request: a JWT access token (RFC 9068), checked as
 * RFC 8725 asks.
 *
 * @throws ProblemError unauthenticated; not-configured where the settings are missing or malformed;
 *   keys-out-of-reach where the issuer's keys can't be had
 */
export function authenticate(request: Request, settings: TokenSettings): Promise<Caller> {
  return authenticateHeader(request.headers.get("authorization"), settings);
}

/** As `authenticate`, by the Authorization header alone. */
export async function authenticateHeader(
  header: string | null,
  settings: TokenSettings,
): Promise<Caller> {
  const token = BEARER.exec(header ?? "")?.[1];
  if (token === undefined) {
    throw refusal("unauthenticated", "Send one Authorization: Bearer token, a signed JWT.");
  }
  if (token.length > MAX_TOKEN) {
    throw refusal("unauthenticated", `The token is longer than ${MAX_TOKEN} characters.`);
  }
  const door = doorOf(settings);
  const known = door.remembered.get(token);
  if (known !== undefined) {
    door.remembered.delete(token);
    const current = await door.keys.current();
    // A key that was withdrawn takes its tokens along.
    if (known.expires > Date.now() && current.keys.has(known.kid)) {
      requireUnrevoked(known, current);
      door.remembered.set(token, known);
      return known.caller;
    }
  }
  const verified = await verify(token, door);
  if (door.remembered.size >= MAX_REMEMBERED) {
    door.remembered.delete(door.remembered.keys().next().value!);
  }
  door.remembered.set(token, verified);
  return verified.caller;
}

/**
 * When the token of a request ends, in milliseconds since the epoch: for what outlives the request.
 *
 * @param request one that `authenticate` has let in
 */
export function endOf(request: Request): number {
  const token = BEARER.exec(request.headers.get("authorization") ?? "")?.[1] ?? "";
  return (decodeJwt(token).exp ?? 0) * 1_000;
}

function doorOf(settings: TokenSettings): Door {
  const { TOKEN_ISSUER = "", TOKEN_AUDIENCE = "", TOKEN_CLAIMS = "" } = settings;
  const { TOKEN_ALGORITHMS = "", TOKEN_TYPE = "" } = settings;
  const source = sourceOf(settings);
  // As JSON no two sets of settings have the same name.
  const name = JSON.stringify([
    ...[TOKEN_ISSUER, TOKEN_AUDIENCE, TOKEN_CLAIMS, TOKEN_ALGORITHMS, TOKEN_TYPE],
    ...source.identity,
  ]);
  const known = doors.get(name);
  if (known !== undefined) return known;
  const kind = kindOf(settings);
  const door: Door = {
    keys: new KeyRing(source, kind.algorithms, waitUntil),
    issuer: TOKEN_ISSUER,
    audience: TOKEN_AUDIENCE,
    names: claimNames(settings),
    ...kind,
    remembered: new Map(),
  };
  if (doors.size >= MAX_DOORS) doors.delete(doors.keys().next().value!);
  doors.set(name, door);
  return door;
}

async function verify(token: string, door: Door): Promise<Verified> {
  const { keys, issuer, audience, names, algorithms, type } = door;
  let kid = "";
  let known: Known | undefined;
  let payload: JWTPayload;
  try {
    ({ payload } = await jwtVerify(
      token,
      async (header) => {
        kid = keyName(header);
        const found = await keys.find(kid);
        ({ known } = found);
        if (found.key === undefined) {
          throw refusal("unauthenticated", "The token names no key of the issuer.");
        }
        // The algorithm is the key's: what the token itself asks for is never believed (RFC 8725, 3.1).
        if (header.alg !== found.key.algorithm) throw new Error(`Its key is not for ${header.alg}`);
        return found.key.key;
      },
      {
        ...{ algorithms, issuer, audience, typ: type },
        ...{ clockTolerance: TOLERANCE, requiredClaims: ["iss", "aud", "sub", "exp"] },
      },
    ));
  } catch (error) {
    if (error instanceof ProblemError) throw error;
    throw refusal("unauthenticated", `The token was refused: ${(error as Error).message}`);
  }
  const result = v.safeParse(claims, {
    ...payload,
    tenant: payload[names.tenant],
    roles: payload[names.roles],
    scope: payload[names.scope],
  });
  if (!result.success) {
    throw refusal("unauthenticated", "The token lacks a claim, or has a malformed one.");
  }
  const { sub, exp, iat = 0, jti, sid, tenant, jurisdiction, roles, scope } = result.output;
  const caller: Caller = {
    tenant,
    subject: sub,
    roles,
    credential: `token:${jti ?? kid}`,
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    ...(scope === undefined ? {} : { scopes: scope.split(" ") }),
  };
  const verified = { caller, kid, sid, issued: iat, expires: exp * 1_000 };
  requireUnrevoked(verified, known!);
  return verified;
}

/** @throws ProblemError unauthenticated where the header says what an access token never does */
function keyName(header: JWTHeaderParameters): string {
  if (NEVER.some((name) => Object.hasOwn(header, name))) {
    throw refusal("unauthenticated", `A token's header may have none of ${NEVER.join(", ")}.`);
  }
  if (typeof header.kid === "string" && header.kid !== "") return header.kid;
  throw refusal("unauthenticated", "The token's header names no key: it has no kid.");
}

/** @throws ProblemError unauthenticated */
function requireUnrevoked({ sid, issued }: Verified, { revoked, revokedBefore }: Known): void {
  const isRevoked = sid !== undefined && (revoked.has(sid) || issued * 1_000 <= revokedBefore);
  if (isRevoked) throw refusal("unauthenticated", "The session of this token was ended.");
}
