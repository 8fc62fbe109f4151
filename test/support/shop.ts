import { afterAll, beforeAll } from "vitest";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken, tenant } from "../../src/cli/secrets.ts";
import type { ListedLetter } from "../../src/dead-letters/letters.ts";
import type { EventReply, View } from "../../src/index.ts";
import { over } from "./shop-transport.ts";

/**
 * The whole shop in the local runtime: six Workers, their queues, their objects, D1. The project
 * "rabbitmq" runs these tests too, with kitchen and delivery over a broker.
 */
export let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
export const tokens = { carla: "", staff: "", busy: "", undertaker: "", olga: "" };

/** Of the caller "busy" alone. */
export const busyTenant = "busy";

beforeAll(async () => {
  const secrets = makeSecrets();
  fleet = await startEphemeralFleet(secrets, await over.start());
  tokens.carla = await mintToken(secrets, { subject: "carla", roles: ["customer"] }, "10m");
  const undertaker = { subject: "ursula", roles: [], scopes: ["dead-letters"] };
  tokens.undertaker = await mintToken(secrets, undertaker, "10m");
  tokens.olga = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
  const busy = { subject: "bea", tenant: busyTenant, roles: ["service"] };
  tokens.busy = await mintToken(secrets, busy, "10m");
  tokens.staff = await mintToken(secrets, { subject: "staff", roles: ["service"] }, "10m");
});

afterAll(async () => {
  await fleet.close();
  await over.stop();
});

interface Answer<Body> {
  status: number;
  body: Body;
}

export async function call<Body = Record<string, unknown>>(
  who: keyof typeof tokens | null,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
): Promise<Answer<Body>> {
  const response = await fetch(new URL(path, fleet.url).href, {
    method,
    headers: {
      ...(who === null ? {} : { Authorization: `Bearer ${tokens[who]}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(key === undefined ? {} : { "Idempotency-Key": key }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

export async function eventually<Value>(
  look: () => Promise<Value>,
  isThere: (value: Value) => boolean,
) {
  const deadline = performance.now() + 15_000;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (performance.now() > deadline) throw new Error(`It never came: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

export const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
export const freshId = () => `flow-${crypto.randomUUID()}`;
export const view = async (id: string) => (await call<View>("carla", "GET", `/orders/${id}`)).body;
export const send = (id: string, event: object, who: keyof typeof tokens = "carla") =>
  call<EventReply>(who, "POST", `/orders/${id}/events`, event);

export const reach = (id: string, state: string) =>
  eventually(
    () => view(id),
    (found) => JSON.stringify(found.state).includes(state),
  );

interface Job {
  order: string;
  state: string;
}

export const pending = async (station: string) =>
  (await call<{ pending: Job[] }>("staff", "GET", `/${station}/pending`)).body.pending;
export const waitsIn = (station: string, id: string) =>
  eventually(
    () => pending(station),
    (jobs) => jobs.some(({ order }) => order === `orders/${id}`),
  );

export async function confirmedOrder(): Promise<string> {
  const id = freshId();
  await call("carla", "POST", "/orders", { id, event: addPizza("p1") });
  await send(id, { type: "CONFIRM_PIZZA" });
  await reach(id, "waitingForPizzaToBeBaked");
  await waitsIn("kitchen", id);
  return id;
}

/** Puts something into a queue as a Worker of the shop would. */
export async function enqueue(worker: string, binding: string, body: object): Promise<void> {
  const env = (await fleet.harness.getWorker(worker).getEnv()) as Record<string, Queue>;
  await over.put(env[binding]!, binding, body);
}

export const cloudEvent = (type: string, subject: string, attributes: object = {}) => ({
  tenant,
  event: {
    ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/test", type, subject },
    ...attributes,
  },
});

export const letters = async () =>
  (
    await call<{ letters: ListedLetter[] }>(
      ...(["undertaker", "GET", "/dead-letters?limit=100"] as const),
    )
  ).body.letters;
