import { generateKeyPairSync, randomBytes } from "node:crypto";
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
  /** The Workers' own settings, by name. */
  variables: Record<string, string>;
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
  return {
    signingKey: { ...privateKey.export({ format: "jwk" }), kid },
    webhookSecret,
    paymentSecret,
    variables: {
      TOKEN_KEYS: JSON.stringify({ keys }),
      TOKEN_ISSUER: issuer,
      TOKEN_AUDIENCE: audience,
      WEBHOOK_SENDERS: JSON.stringify(senders),
      JOURNAL_KEYS: newKeys(),
      SECRETS_KEYS: newKeys(),
    },
  };
}

/** The secrets of local development: made on first start, kept in a file that git ignores. */
export function localSecrets(root: string): Secrets {
  const path = join(root, ".durachart", "secrets.json");
  if (existsSync(path)) {
    const known = JSON.parse(readFileSync(path, "utf8")) as Partial<Secrets>;
    // Of an earlier version of the shop they lack what came since: then they are made anew.
    if (known.paymentSecret !== undefined) return withKeys(known as Secrets, path);
  }
  const secrets = makeSecrets();
  mkdirSync(dirname(path), { recursive: true });
  writePrivately(path, `${JSON.stringify(secrets, null, 2)}\n`);
  return secrets;
}

/** Orders that are there must stay readable: secrets of an earlier version get the keys that they lack. */
function withKeys(secrets: Secrets, path: string): Secrets {
  const lacking = ["JOURNAL_KEYS", "SECRETS_KEYS"].filter((name) => !(name in secrets.variables));
  if (lacking.length === 0) return secrets;
  const made = Object.fromEntries(lacking.map((name) => [name, newKeys()]));
  const variables = { ...secrets.variables, ...made };
  const whole = { ...secrets, variables };
  writePrivately(path, `${JSON.stringify(whole, null, 2)}\n`);
  return whole;
}

/** Writes each Worker's `.dev.vars` beside its configuration. */
export function writeDevVars(
  root: string,
  configPaths: readonly string[],
  variables: Record<string, string>,
): void {
  const lines = Object.entries(variables).map(([name, value]) => `${name}='${value}'\n`);
  for (const configPath of configPaths) {
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
  caller: Omit<Caller, "tenant">,
  lifetime: string,
): Promise<string> {
  const { subject, scopes, ...claims } = caller;
  const scope = scopes === undefined ? {} : { scope: scopes.join(" ") };
  return new SignJWT({ ...claims, ...scope, tenant })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: signingKey.kid! })
    .setSubject(subject)
    .setIssuer(variables["TOKEN_ISSUER"]!)
    .setAudience(variables["TOKEN_AUDIENCE"]!)
    .setIssuedAt()
    .setExpirationTime(lifetime)
    .sign(await importJWK(signingKey, "EdDSA"));
}
