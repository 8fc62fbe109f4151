import { createHash, generateKeyPairSync, randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { importJWK, SignJWT, type JWK } from "jose";
import { newKeys } from "./keys.ts";
import type { Caller } from "../contract/caller.ts";

/** What a deployment needs to know whom to let in, and what its local issuer signs with. */
export interface Secrets {
  signingKey: JWK;
  webhookSecret: string;
  /** What the payment provider signs its callbacks with. */
  paymentSecret: string;
  /** Who asks the local auth service for tokens. */
  clients: { customer: LocalClient; staff: LocalClient };
  /** The Workers' own settings, by name. */
  variables: Record<string, string>;
}

export interface LocalClient {
  id: string;
  secret: string;
}

const issuer = "https://local.durachart";
const audience = "durachart";

/** The tenant of local development. */
export const tenant = "tropical";

export function makeSecrets(): Secrets {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const kid = randomBytes(6).toString("base64url");
  const webhookSecret = `whsec_${randomBytes(24).toString("base64")}`;
  const keys = [{ ...publicKey.export({ format: "jwk" }), kid, alg: "EdDSA", use: "sig" }];
  const paymentSecret = randomBytes(24).toString("base64url");
  const senders = [
    { name: "local", tenant, roles: ["service"], secrets: [webhookSecret] },
    { name: "payments", hook: true, tenant, roles: ["provider"], secrets: [paymentSecret] },
  ];
  const { clients, bootstrap } = makeClients();
  return {
    clients,
    signingKey: { ...privateKey.export({ format: "jwk" }), kid },
    webhookSecret,
    paymentSecret,
    variables: {
      TOKEN_KEYS: JSON.stringify({ keys }),
      TOKEN_ISSUER: issuer,
      TOKEN_AUDIENCE: audience,
      WEBHOOK_SENDERS: JSON.stringify(senders),
      AUTH_SECRET: randomBytes(32).toString("base64url"),
      AUTH_TENANT: tenant,
      AUTH_CLIENTS: JSON.stringify(bootstrap),
      JOURNAL_KEYS: newKeys(),
      SECRETS_KEYS: newKeys(),
      TICKET_SECRET: randomBytes(32).toString("base64"),
      MAIL_PROVIDER: "mailbox",
    },
  };
}

/** The clients of local development; what the auth service knows of their secrets is a hash. */
function makeClients() {
  const customer = { id: "local-customer", secret: randomBytes(32).toString("base64url") };
  const staff = { id: "local-staff", secret: randomBytes(32).toString("base64url") };
  const known = ({ id, secret }: LocalClient) => ({
    ...{ id, tenant, secretHashes: [createHash("sha256").update(secret).digest("base64url")] },
    // A token that was pasted should do for a while of trying things out.
    lifetime: 3_600,
  });
  const bootstrap = [
    { ...known(customer), roles: ["customer"] },
    {
      ...known(staff),
      roles: ["service", "operator", "administrator"],
      scopes: ["dead-letters"],
    },
  ];
  return { clients: { customer, staff }, bootstrap };
}

/**
 * The settings with the running auth service as the issuer, in the place of the fixed keys that
 * `mintToken` signs for.
 */
export function withAuthService({ variables }: Secrets): Record<string, string> {
  // Empty, not left out: what an older `.dev.vars` says of it must not count.
  return { ...variables, TOKEN_KEYS: "" };
}

/** The settings that a Worker gets: the auth service's own are for nobody else. */
export function variablesOf(
  configPath: string,
  variables: Record<string, string>,
): Record<string, string> {
  if (configPath === "services/auth/wrangler.toml") return variables;
  return Object.fromEntries(
    Object.entries(variables).filter(([name]) => !name.startsWith("AUTH_")),
  );
}

/** A bearer token of the auth service that runs at an address. */
export async function tokenOf(url: string, { id, secret }: LocalClient): Promise<string> {
  const response = await fetch(new URL("/auth/token", url), {
    method: "POST",
    body: new URLSearchParams({
      ...{ grant_type: "client_credentials", client_id: id, client_secret: secret },
    }),
  });
  const answer = (await response.json()) as { access_token?: string; detail?: string };
  if (answer.access_token !== undefined) return answer.access_token;
  throw new Error(`The auth service gave ${id} no token: ${answer.detail ?? response.status}`);
}

/** The secrets of local development: made on first start, kept in a file that git ignores. */
export function localSecrets(root: string): Secrets {
  const path = join(root, ".durachart", "secrets.json");
  if (existsSync(path)) {
    const known = JSON.parse(readFileSync(path, "utf8")) as Partial<Secrets>;
    // Of an earlier version of the shop they lack what came since: then they are made anew.
    if (known.paymentSecret !== undefined && known.clients !== undefined) {
      return withAll(known as Secrets, path);
    }
  }
  const secrets = makeSecrets();
  mkdirSync(dirname(path), { recursive: true });
  writePrivately(path, `${JSON.stringify(secrets, null, 2)}\n`);
  return secrets;
}

/** Orders that are there must stay readable: what secrets of an earlier day lack is added, and nothing replaced. */
function withAll(known: Secrets, path: string): Secrets {
  const { variables } = makeSecrets();
  if (Object.keys(variables).every((name) => name in known.variables)) return known;
  const whole = { ...known, variables: { ...variables, ...known.variables } };
  writePrivately(path, `${JSON.stringify(whole, null, 2)}\n`);
  return whole;
}

/** Writes each Worker's `.dev.vars` beside its configuration. */
export function writeDevVars(
  root: string,
  configPaths: readonly string[],
  variables: Record<string, string>,
): void {
  for (const configPath of configPaths) {
    const own = Object.entries(variablesOf(configPath, variables));
    const lines = own.map(([name, value]) => `${name}='${value}'\n`);
    writePrivately(join(root, dirname(configPath), ".dev.vars"), lines.join(""));
  }
}

function writePrivately(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** A bearer token as the local issuer signs it. @param lifetime as jose reads it, such as "12h" */
export async function mintToken(
  { signingKey, variables }: Secrets,
  caller: Omit<Caller, "tenant"> & { tenant?: string },
  lifetime: string,
): Promise<string> {
  const { subject, scopes, ...claims } = caller;
  const scope = scopes === undefined ? {} : { scope: scopes.join(" ") };
  return new SignJWT({ tenant, ...claims, ...scope })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: signingKey.kid! })
    .setSubject(subject)
    .setIssuer(variables["TOKEN_ISSUER"]!)
    .setAudience(variables["TOKEN_AUDIENCE"]!)
    .setIssuedAt()
    .setExpirationTime(lifetime)
    .sign(await importJWK(signingKey, "EdDSA"));
}
