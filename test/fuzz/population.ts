import { stockTheShop } from "../../src/cli/assortment.ts";
import { mintToken, tenant as local, type Secrets } from "../../src/cli/secrets.ts";
import { signUp } from "../../src/cli/sign-up.ts";
import type { Role } from "./ask.ts";

/** An order in each phase, by its name, and what else lives. */
export const phases = [
  "ordering",
  "chosen",
  "baking",
  "oven",
  "kitchen-failed",
  "delivering",
  "delivery-failed",
  "delivered",
  "cancelled",
  "paused",
  "scheduled",
  "erased",
] as const;
export type Phase = (typeof phases)[number];

/** The key that the first pizza of `chosen` came with. */
export const USED_KEY = "used-key";

interface Tenant {
  name: string;
  tokens: Record<Role, string>;
}

/** Who lives in the shop while it is fuzzed. */
export interface Population {
  tenants: Tenant[];
  /** A webhook endpoint of the first tenant's, disabled. */
  endpoint: string;
  /** Of somebody who has registered. */
  login: { username: string; password: string };
}

/** Each may ask 60,000 times a minute. */
const TENANTS = 5;
/** One whose stations have nothing to do: its place in the list. */
export const IDLE = TENANTS;

const roles: Record<Role, { subject: string; roles: string[]; scopes?: string[] }> = {
  customer: { subject: "carla", roles: ["customer"] },
  other: { subject: "oscar", roles: ["customer"] },
  service: { subject: "stations", roles: ["service"] },
  operator: { subject: "olga", roles: ["operator"] },
  administrator: { subject: "adam", roles: ["administrator", "operator"] },
  letters: { subject: "lena", roles: ["operator"], scopes: ["dead-letters"] },
  nobody: { subject: "norman", roles: ["stranger"] },
};

export type Call = (
  token: string | null,
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<{ status: number; body: unknown; text: string }>;

export function caller(base: URL): Call {
  return async (token, method, path, body, headers = {}) => {
    const response = await fetch(new URL(path, base), {
      method,
      headers: {
        ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, body: text === "" ? null : JSON.parse(text) };
  };
}

export async function populate(base: URL, secrets: Secrets): Promise<Population> {
  const call = caller(base);
  const names = [local, ...Array.from({ length: TENANTS }, (_, index) => `fuzzed-${index + 1}`)];
  const tenants = await Promise.all(
    names.map(async (name) => {
      const minted = Object.entries(roles).map(async ([role, one]) => [
        role,
        await mintToken(secrets, { ...one, tenant: name }, "12h"),
      ]);
      return { name, tokens: Object.fromEntries(await Promise.all(minted)) } as Tenant;
    }),
  );
  await Promise.all(
    tenants.slice(0, TENANTS).map(async (one) => {
      await stockTheShop(base.href, one.tokens.service);
      await populateTenant(call, one);
    }),
  );
  const { operator } = tenants[0]!.tokens;
  const made = await must(call(operator, "POST", "/webhooks", { url: "https://example.com/" }));
  const { id: endpoint } = made as { id: string };
  await must(call(operator, "POST", `/webhooks/${endpoint}/disable`));
  const login = { username: "carla@fuzz.test", password: "mango tango" };
  await signUp(base.href, tenants[0]!.tokens.operator, login);
  const payment = { purpose: "orders/delivered", due: { amount: 100, currency: "EUR" } };
  await must(call(operator, "POST", "/payments", { id: "payment", input: payment }));
  return { tenants, endpoint, login };
}

async function populateTenant(call: Call, { tokens }: Tenant): Promise<void> {
  const { customer, service, operator } = tokens;
  const start = (id: string, more: object = {}) =>
    must(call(customer, "POST", "/orders", { id, ...more }));
  const send = (id: string, type: string, data?: object, headers?: Record<string, string>) => {
    const isStation = type.startsWith("PIZZA_") || type.startsWith("DELIVERY_");
    const event = data === undefined ? { type } : { type, data };
    return must(
      call(isStation ? service : customer, "POST", `/orders/${id}/events`, event, headers),
    );
  };
  const until = async (id: string, state: string) => {
    for (;;) {
      const { body } = await call(operator, "GET", `/orders/${id}`);
      const view = body as { state: unknown; pending: number };
      if (view.pending === 0 && JSON.stringify(view.state).includes(state)) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const brought: Record<string, (id: string) => Promise<unknown>> = {
    baking: (id) => until(id, "waitingForPizzaToBeBaked"),
    oven: (id) => send(id, "PIZZA_IN_OVEN"),
    "kitchen-failed": (id) => send(id, "PIZZA_FAILED", { reason: "burnt" }),
    delivering: (id) => send(id, "PIZZA_READY"),
    "delivery-failed": async (id) => {
      await send(id, "PIZZA_READY");
      await until(id, "waitingForPizzaToBeDelivered");
      await send(id, "DELIVERY_FAILED", { reason: "dropped" });
    },
    delivered: async (id) => {
      await send(id, "PIZZA_READY");
      await until(id, "waitingForPizzaToBeDelivered");
      await send(id, "PIZZA_DELIVERED");
    },
  };
  const add = { id: "p1", pizza: "mango-tango" };
  for (const phase of phases) {
    if (phase === "scheduled") {
      await start(phase, { startAt: "2090-01-01T00:00:00Z" });
      continue;
    }
    await start(phase);
    if (phase === "ordering") continue;
    await send(phase, "ADD_PIZZA", add, { "Idempotency-Key": USED_KEY });
    if (phase in brought) {
      await send(phase, "CONFIRM_PIZZA");
      await until(phase, "waitingForPizzaToBeBaked");
      await brought[phase]!(phase);
    } else if (phase === "cancelled") await send(phase, "CANCEL_ORDER");
    else if (phase === "paused") await must(call(operator, "POST", `/orders/${phase}/pause`));
    else if (phase === "erased") {
      await send(phase, "CANCEL_ORDER");
      await must(call(operator, "POST", `/orders/${phase}/erase`, { force: true }));
    }
  }
  for (const phase of ["delivering", "delivered"]) await until(phase, "deliver");
}

/** The state of everything that lives, to be compared with what it is later. */
async function stateOf(base: URL, { tenants, endpoint }: Population): Promise<State> {
  const call = caller(base);
  const state: State = new Map();
  for (const { name, tokens } of tenants) {
    const { operator, letters, administrator } = tokens;
    const look = async (token: string, path: string) => {
      const { status, text } = await call(token, "GET", path);
      state.set(`${name} ${path}`, `${status} ${text}`);
    };
    for (const id of [...phases.map((phase) => `orders/${phase}`), "payments/payment"]) {
      await look(operator, `/${id}`);
      await look(operator, `/${id}/history?limit=1000`);
    }
    for (const path of ["/orders?limit=100", "/payments", "/webhooks"]) await look(operator, path);
    for (const path of ["/kitchen/pending", "/delivery/pending", "/orderlog/log?limit=1000"]) {
      await look(operator, path);
    }
    for (const status of ["dead", "sending", "sent", "discarded"]) {
      await look(letters, `/dead-letters?status=${status}&limit=100`);
    }
    await look(administrator, "/auth/clients");
  }
  const { operator } = tenants[0]!.tokens;
  const path = `/webhooks/${endpoint}/deliveries`;
  state.set(path, (await call(operator, "GET", path)).text);
  return state;
}

/** What is looked at → what it was. */
export type State = Map<string, string>;

/** Waits until queues have brought what was done to list and log. */
export async function stateAtRest(base: URL, population: Population): Promise<State> {
  let before = await stateOf(base, population);
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    const after = await stateOf(base, population);
    if (differences(before, after).length === 0) return after;
    before = after;
  }
}

export function differences(before: State, after: State): string[] {
  return [...before].flatMap(([what, was]) => {
    const is = after.get(what) ?? "";
    if (is === was) return [];
    const at = Array.from(was).findIndex((character, index) => character !== is[index]);
    const part = (text: string) => text.slice(Math.max(0, at - 40), at + 160);
    return [`${what}\n    was … ${part(was)}\n    is  … ${part(is)}`];
  });
}

async function must(answer: ReturnType<Call>): Promise<unknown> {
  const { status, text, body } = await answer;
  if (status < 300) return body;
  throw new Error(`The shop could not be prepared: ${status} ${text}`);
}
