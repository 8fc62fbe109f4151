import { importJWK, SignJWT, type JWK } from "jose";
import { env, exports } from "cloudflare:workers";
import { vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { objectName } from "../../src/contract/address.ts";
import type { OperationView } from "../../src/contract/operations.ts";
import type { EventReply, JournalEntry, View } from "../../src/index.ts";

const operator: Caller = { tenant: "tropical", subject: "olga", roles: ["operator"] };
export const customer: Caller = { tenant: "tropical", subject: "carla", roles: ["customer"] };
export const service: Caller = { tenant: "tropical", subject: "kitchen", roles: ["service"] };
export { operator };

/** A bearer token as the issuer would sign it. `claims` replaces some of them. */
export async function tokenFor(
  caller: Caller,
  claims: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  const jwk = JSON.parse(env.TEST_SIGNING_KEY) as JWK;
  const { subject, scopes, ...rest } = caller;
  const scope = scopes === undefined ? {} : { scope: scopes.join(" ") };
  return new SignJWT({ ...rest, ...scope, ...claims })
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: "test", ...header })
    .setSubject(subject)
    .setIssuer((claims["iss"] as string | undefined) ?? env.TOKEN_ISSUER)
    .setAudience((claims["aud"] as string | undefined) ?? env.TOKEN_AUDIENCE)
    .setExpirationTime((claims["exp"] as number | undefined) ?? "5m")
    .sign(await importJWK(jwk, "EdDSA"));
}

export interface Answer<Body = Record<string, unknown>> {
  status: number;
  headers: Headers;
  body: Body;
}

/** A request through the front door. A body that is no string goes as JSON. */
export async function call<Body = Record<string, unknown>>(
  method: string,
  path: string,
  options: { as?: Caller | null; body?: unknown; headers?: Record<string, string> } = {},
): Promise<Answer<Body>> {
  const { as = operator, body, headers = {} } = options;
  const authorization: Record<string, string> =
    as === null ? {} : { Authorization: `Bearer ${await tokenFor(as)}` };
  const hasBody = body !== undefined;
  const response = await exports.default.fetch(`https://durachart.test${path}`, {
    method,
    headers: {
      ...(hasBody ? { "Content-Type": "application/json" } : {}),
      ...authorization,
      ...headers,
    },
    ...(hasBody ? { body: typeof body === "string" ? body : JSON.stringify(body) } : {}),
  });
  const text = await response.text();
  const parsed: unknown = text === "" ? null : JSON.parse(text);
  return { status: response.status, headers: response.headers, body: parsed as Body };
}

let counter = 0;

/** An id that no other test uses. */
export function freshId(): string {
  counter += 1;
  return `t-${counter}-${crypto.randomUUID().slice(0, 8)}`;
}

export function stubOf(workflow: string, id: string, tenant = operator.tenant) {
  return env.INSTANCES.getByName(objectName({ tenant, workflow, id }));
}

/** Waits for something that happens by itself, in real time; fails after five seconds. */
export async function eventually<Value>(
  look: () => Promise<Value>,
  isThere: (value: Value) => boolean,
): Promise<Value> {
  const deadline = performance.now() + 5_000;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (performance.now() > deadline) {
      throw new Error(`It never came; the last was ${JSON.stringify(value)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Starts an instance and gives its id. */
export async function start(workflow: string, event?: object): Promise<string> {
  const id = freshId();
  // An order is its customer's.
  const as = workflow === "orders" ? customer : operator;
  const { status, body } = await call("POST", `/${workflow}`, { body: { id, event }, as });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return id;
}

export function send(
  workflow: string,
  id: string,
  event: { type: string; data?: unknown },
  options: { as?: Caller; key?: string } = {},
): Promise<Answer<EventReply & { type: string; detail: string }>> {
  const headers: Record<string, string> =
    options.key === undefined ? {} : { "Idempotency-Key": options.key };
  const as = options.as ?? operator;
  return call("POST", `/${workflow}/${id}/events`, { body: event, headers, as });
}

export async function view(workflow: string, id: string): Promise<View> {
  const { body } = await call<View>("GET", `/${workflow}/${id}`);
  return body;
}

export async function history(workflow: string, id: string): Promise<JournalEntry[]> {
  const path = `/${workflow}/${id}/history?limit=1000`;
  const { body } = await call<{ entries: JournalEntry[] }>("GET", path);
  return body.entries;
}

/** Moves the clock, the objects' too; real alarms stay where they are, the test rings them. */
export function setTime(milliseconds: number): void {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(milliseconds);
}

/** What an operator does to an instance. */
export function operate(
  workflow: string,
  id: string,
  name: string,
  body?: object,
  as: Caller = operator,
): Promise<Answer<OperationView & { type: string; detail: string }>> {
  return call("POST", `/${workflow}/${id}/${name}`, { body, as });
}
