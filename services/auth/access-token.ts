import { SignJWT } from "jose";
import { ACCESS_LIFETIME, type Settings } from "./settings.ts";
import { signingKey } from "./signing-keys.ts";

/** Whom a token is for. */
export interface Holder {
  subject: string;
  /** The session: what is revoked. */
  sid: string;
  tenant: string;
  jurisdiction?: string | null | undefined;
  roles: readonly string[];
  scopes: readonly string[];
}

/** What RFC 6749 answers, section 5.1. */
export interface Granted {
  access_token: string;
  token_type: "Bearer";
  /** Seconds. */
  expires_in: number;
  refresh_token?: string;
  scope?: string;
}

/** An access token as RFC 9068 has it. @param lifetime seconds */
export async function accessToken(
  settings: Settings,
  { subject, sid, tenant, jurisdiction, roles, scopes }: Holder,
  now: number,
  lifetime = ACCESS_LIFETIME,
): Promise<Granted> {
  const { kid, key } = await signingKey(settings, now);
  const seconds = Math.floor(now / 1_000);
  const scope = scopes.length === 0 ? {} : { scope: scopes.join(" ") };
  const claims = { sid, tenant, roles, ...(jurisdiction ? { jurisdiction } : {}), ...scope };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid })
    .setIssuer(settings.issuer)
    .setAudience(settings.audience)
    .setSubject(subject)
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + lifetime)
    .setJti(crypto.randomUUID())
    .sign(key);
  return { access_token: token, token_type: "Bearer", expires_in: lifetime, ...scope };
}
