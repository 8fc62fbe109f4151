import { env, exports } from "cloudflare:workers";
import { decodeJwt, type JWTPayload } from "jose";
import type { Granted } from "../../services/auth/access-token.ts";
import type { AuthCalls } from "../../services/contracts/auth.ts";
import type { Reply } from "../../services/contracts/reply.ts";
import type { KeyPublisher } from "../../src/contract/published-keys.ts";
import { ProblemError } from "../../src/contract/problem.ts";
import { settingsOf, type AuthEnv } from "../../services/auth/settings.ts";
import { register } from "../../services/auth/users.ts";

/** The service as the gateway and the doors call it: by RPC. */
const entrypoints = exports as unknown as { Auth: AuthCalls; Keys: KeyPublisher };
export const { Auth: auth, Keys: keys } = entrypoints;

export const authEnv = (): AuthEnv => env as unknown as AuthEnv;
export const settings = (more: Partial<AuthEnv> = {}) => settingsOf({ ...authEnv(), ...more });

/** Of a deployment where nobody has to confirm. */
export const openly = (more: Partial<AuthEnv> = {}) =>
  settings({ AUTH_REGISTRATION: "open", ...more });

/** How the doors of the deployment are set. */
export const doorSettings = () => ({
  TOKEN_ISSUER: env.TOKEN_ISSUER,
  TOKEN_AUDIENCE: env.TOKEN_AUDIENCE,
  AUTH: keys,
});

/** @throws ProblemError */
export function value<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  throw new ProblemError(reply.problem);
}

export const password = "mango tango";
let counter = 0;
export const freshName = () => `carla-${(counter += 1)}-${crypto.randomUUID().slice(0, 8)}`;
export const freshAddress = () => `2001:db8:${(counter += 1).toString(16)}::1`;

/** A user who has registered. @returns her name */
export async function user(): Promise<string> {
  const username = freshName();
  await register(openly(), { username, password }, freshAddress(), Date.now());
  return username;
}

export async function session(username?: string): Promise<Granted & { refresh_token: string }> {
  const login = { username: username ?? (await user()), password };
  return value(await auth.logIn(login, freshAddress())) as Granted & { refresh_token: string };
}

export const claimsOf = ({ access_token }: Granted): JWTPayload & Record<string, unknown> =>
  decodeJwt(access_token);

/** Asserts that a reply is a problem, and gives it. */
export function problemOf(reply: Reply<unknown>) {
  if (reply.ok) throw new Error(`It was granted: ${JSON.stringify(reply.value)}`);
  return reply.problem;
}
