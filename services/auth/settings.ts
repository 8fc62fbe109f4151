import { createHmac, hkdfSync } from "node:crypto";
import * as v from "valibot";
import { refusal } from "../../src/contract/problem.ts";
import { jurisdiction } from "../../src/ingress/jurisdiction.ts";
import type { TokenSettings } from "../../src/ingress/token.ts";

export interface AuthEnv extends TokenSettings {
  ACCOUNTS: D1Database;
  /** Where the orchestrator hears of who has registered; absent: it never does. */
  EVENTS_QUEUE?: Queue;
  /** Where the mailer hears of mails; absent: nobody can register, unless AUTH_REGISTRATION is `open`. */
  MAILS_QUEUE?: Queue;
  /** At least 32 random characters: private keys are wrapped under it. */
  AUTH_SECRET?: string;
  /** The tenant of who registers. */
  AUTH_TENANT?: string;
  /** `mail`: who registers confirms it by a code that she is mailed; `open`: nobody has to. */
  AUTH_REGISTRATION?: string;
  /** Where that tenant's data must stay; absent: anywhere. */
  AUTH_JURISDICTION?: string;
  /** JSON: the clients that are there from the beginning. */
  AUTH_CLIENTS?: string;
}

/** Seconds that an access token lives where nothing else is said. */
export const ACCESS_LIFETIME = 600;
/** Seconds that any access token may live. */
export const MOST_LIFETIME = 3_600;

const names = (most: number) => v.pipe(v.array(name(50)), v.maxLength(most));
/** A role or a scope: the scope parameter separates by spaces (RFC 6749, 3.3). */
function name(most: number) {
  return v.pipe(v.string(), v.regex(/^[A-Za-z0-9._:/-]+$/), v.maxLength(most));
}
export const clientId = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._-]{1,64}$/));
const tenantName = v.pipe(v.string(), v.regex(/^[A-Za-z0-9._~-]{1,100}$/));
/** What a client may be, beside its id and its tenant. */
export const grants = {
  roles: names(20),
  scopes: v.optional(names(50), []),
  /** Seconds that its access tokens live. */
  lifetime: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(MOST_LIFETIME)),
    ACCESS_LIFETIME,
  ),
};

const bootstrapClients = v.array(
  v.strictObject({
    id: clientId,
    tenant: tenantName,
    jurisdiction,
    ...grants,
    /** SHA-256 of each secret, as base64url. */
    secretHashes: v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/))),
  }),
);

const registration = v.optional(v.picklist(["mail", "open"]), "mail");

type BootstrapClient = v.InferOutput<typeof bootstrapClients>[number];

export interface Settings {
  database: D1Database;
  events: Queue | undefined;
  mails: Queue | undefined;
  registration: v.InferOutput<typeof registration>;
  issuer: string;
  audience: string;
  tenant: string;
  jurisdiction: v.InferOutput<typeof jurisdiction>;
  clients: BootstrapClient[];
  /** 32 bytes of a purpose's own, from AUTH_SECRET. */
  derive: (purpose: string) => Uint8Array<ArrayBuffer>;
  /** What a text is found by again, though it can't be read or guessed from it. */
  fingerprint: (text: string) => string;
}

/** @throws ProblemError not-configured, naming what is missing or malformed */
export function settingsOf(env: AuthEnv): Settings {
  const { AUTH_SECRET = "", TOKEN_ISSUER, TOKEN_AUDIENCE } = env;
  if (AUTH_SECRET.length < 32) throw missing("AUTH_SECRET must be set to 32 random characters.");
  if (!TOKEN_ISSUER || !TOKEN_AUDIENCE) {
    throw missing("TOKEN_ISSUER and TOKEN_AUDIENCE must be set.");
  }
  const derive = (purpose: string) =>
    new Uint8Array(hkdfSync("sha256", AUTH_SECRET, "durachart auth", purpose, 32));
  return {
    database: env.ACCOUNTS,
    events: env.EVENTS_QUEUE,
    mails: env.MAILS_QUEUE,
    registration: parsed("AUTH_REGISTRATION", registration, env.AUTH_REGISTRATION || undefined),
    issuer: TOKEN_ISSUER,
    audience: TOKEN_AUDIENCE,
    tenant: parsed("AUTH_TENANT", tenantName, env.AUTH_TENANT),
    jurisdiction: parsed("AUTH_JURISDICTION", jurisdiction, env.AUTH_JURISDICTION || undefined),
    clients: parsed("AUTH_CLIENTS", bootstrapClients, jsonOf(env.AUTH_CLIENTS || "[]")),
    derive,
    fingerprint: (text) =>
      createHmac("sha256", derive("fingerprints")).update(text).digest("base64url"),
  };
}

function parsed<Schema extends v.GenericSchema>(
  setting: string,
  schema: Schema,
  value: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  // What is wrong is told by its place, never by its value.
  const place = v.getDotPath(result.issues[0]!) ?? "";
  throw missing(`${setting} is missing or malformed${place === "" ? "" : ` at ${place}`}.`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw missing("AUTH_CLIENTS is no JSON.");
  }
}

const missing = (detail: string) => refusal("not-configured", detail);
