import colors from "picocolors";
import type { StateValue } from "xstate";
import type { Simulation } from "../contract/simulation.ts";
import type { JournalEntry, View } from "../contract/view.ts";
import { settingsFromEnvironment, startEphemeralFleet } from "./fleet.ts";
import { showAround } from "./demo-around.ts";
import { checkedWorkflows } from "./preflight.ts";
import { makeSecrets, tenant, tokenOf, withAuthService, type Secrets } from "./secrets.ts";
import { signUp } from "./sign-up.ts";
import { watch, type Watch } from "./watch.ts";

/** How long anything in the demo may take before something must be wrong, in milliseconds. */
const PATIENCE = 20_000;

/** `npm run demo`: three real orders through real Workers, and nothing left behind. */
async function main(): Promise<void> {
  const began = performance.now();
  console.log(colors.bold("\nDurachart: three pizza orders, each a durable statechart\n"));
  const secrets = makeSecrets();
  const variables = withAuthService(secrets);
  const fleet = await startEphemeralFleet({ ...secrets, variables }, settingsFromEnvironment());
  const ready = Math.round(performance.now() - began);
  console.log(
    colors.dim(
      `  Eleven Workers, from the gateway to the support, run at ${fleet.url} (${ready} ms)\n`,
    ),
  );
  try {
    const shop = await Shop.open(fleet.url, secrets);
    await theHappyOrder(shop);
    await theOrderWhoseKitchenFails(shop);
    await theOrderThatIsOperated(shop);
    await showAround((...request) => shop.ask(...request), "demo-1");
    await shop.showLog();
  } finally {
    await fleet.close();
  }
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  console.log(colors.green(`\nAll orders ended as they should, in ${seconds} s.`));
  console.log(`Next: ${colors.bold("npm run dev")} keeps the shop open and shows how to order.\n`);
}

async function theHappyOrder(shop: Shop): Promise<void> {
  console.log(colors.bold(`Order 1: two pizzas, one thought better of, baked and delivered`));
  const id = "demo-1";
  await shop.post("customer", "/orders", {
    id,
    input: { deliverTo: "Palm Street 7" },
    event: { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } },
  });
  const order = await shop.watch(id);
  await shop.send(id, "ADD_PIZZA", { id: "p2", pizza: "banana-curry" });
  await shop.send(id, "REMOVE_PIZZA", { id: "p2" });
  await shop.send(id, "CONFIRM_PIZZA");
  await within(order.until(reaches("waitingForPizzaToBeBaked")), "the kitchen to take the order");
  await shop.station("kitchen", "begin-next");
  await within(order.until(reaches("pizzaInOven")), "the oven");
  await shop.station("kitchen", "finish-next");
  await within(order.until(reaches("waitingForPizzaToBeDelivered")), "a courier");
  await shop.station("delivery", "finish-next");
  await within(order.until(reaches("delivered")), "the delivery");
  order.close();
}

async function theOrderWhoseKitchenFails(shop: Shop): Promise<void> {
  console.log(colors.bold(`\nOrder 2: the kitchen fails, the customer cancels`));
  const id = "demo-2";
  await shop.post("customer", "/orders", {
    id,
    event: { type: "ADD_PIZZA", data: { id: "p1", pizza: "papaya-picante" } },
  });
  const order = await shop.watch(id);
  await shop.send(id, "CONFIRM_PIZZA");
  await within(order.until(reaches("waitingForPizzaToBeBaked")), "the kitchen to take the order");
  await shop.station("kitchen", "fail-next", { reason: "the oven is cold" });
  await within(order.until(reaches("errorInKitchen")), "the kitchen to fail");
  await shop.send(id, "CANCEL_ORDER", { reason: "then I'll cook myself" });
  await within(order.until(reaches("cancelled")), "the cancellation");
  order.close();
}

async function theOrderThatIsOperated(shop: Shop): Promise<void> {
  console.log(colors.bold(`\nOrder 3: looked ahead, held, let go, put back, taken back`));
  const id = "demo-3";
  await shop.post("customer", "/orders", {
    id,
    event: { type: "ADD_PIZZA", data: { id: "p1", pizza: "coconut-dream" } },
  });
  const order = await shop.watch(id);
  const hour = 3_600_000;
  await shop.lookAhead(id, [
    { type: "CONFIRM_PIZZA" },
    { actor: "reserveStock", output: { reserved: true } },
    { actor: "orderPizzaFromKitchen" },
    { advance: 6 * hour },
  ]);
  await shop.operate(id, "pause");
  await shop.send(id, "ADD_PIZZA", { id: "p2", pizza: "banana-curry" });
  await shop.operate(id, "resume", { reason: "the oven is mended" });
  await shop.send(id, "REMOVE_PIZZA", { id: "p1" });
  // To when the first pizza had its price.
  const { seq } = (await shop.operate(id, "rewind", { to: 3 })) as View;
  await within(
    order.until((entry) => entry.seq === seq),
    "the rewind",
  );
  await shop.operate(id, "cancel", { data: { reason: "closed for today" } });
  await within(order.until(reaches("cancelled")), "the cancellation");
  order.close();
}

/** The shop from outside: HTTP and a WebSocket, as a customer and as its staff. */
class Shop {
  readonly #url: string;
  readonly #tokens: { customer: string; staff: string };

  constructor(url: string, tokens: { customer: string; staff: string }) {
    this.#url = url;
    this.#tokens = tokens;
  }

  static async open(url: string, secrets: Secrets): Promise<Shop> {
    const staff = await tokenOf(url, secrets.clients.staff);
    const login = { username: "carla@example.test", password: "mango tango" };
    return new Shop(url, { customer: await signUp(url, staff, login), staff });
  }

  watch(id: string): Promise<Watch> {
    const url = new URL(`/orders/${id}/stream?after=0`, this.#url).href;
    return watch(url, this.#tokens.customer, { entry: printEntry });
  }

  send(id: string, type: string, data?: unknown): Promise<View> {
    return this.post("customer", `/orders/${id}/events`, { type, data }) as Promise<View>;
  }

  operate(id: string, operation: string, body?: object): Promise<unknown> {
    return this.post("staff", `/orders/${id}/${operation}`, body);
  }

  /** What would happen, shown; nothing of it does. */
  async lookAhead(id: string, suppose: object[]): Promise<void> {
    const { steps } = (await this.operate(id, "simulate", { suppose })) as Simulation;
    for (const { event, state, by, after } of steps) {
      printLine(
        "?",
        nameOf(event.type),
        state,
        `by ${by}, after ${Math.round(after / 60_000)} min`,
      );
    }
  }

  /** What the station was told comes by a queue: it may take a moment until there is a job. */
  async station(name: "kitchen" | "delivery", call: string, body?: unknown): Promise<void> {
    const until = performance.now() + PATIENCE;
    const headers = { "Idempotency-Key": crypto.randomUUID() };
    for (;;) {
      const response = await this.#fetch("staff", `/${name}/${call}`, body, headers);
      if (response.ok) {
        await response.body?.cancel();
        return;
      }
      const problem = await response.text();
      if (response.status !== 404 || performance.now() > until) throw new Error(problem);
      headers["Idempotency-Key"] = crypto.randomUUID();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async post(who: "customer" | "staff", path: string, body: unknown): Promise<unknown> {
    const response = await this.#fetch(who, path, body);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async ask<Body>(
    who: "customer" | "staff",
    method: string,
    path: string,
    body?: object,
  ): Promise<Body> {
    const response = await this.#fetch(who, path, body, {}, method);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Body;
  }

  async showLog(): Promise<void> {
    const address = new URL("/orderlog/log", this.#url).href;
    const headers = { Authorization: `Bearer ${this.#tokens.staff}` };
    const types = ["order.delivered", "order.cancelled"];
    const until = performance.now() + PATIENCE;
    for (;;) {
      const response = await fetch(address, { headers });
      const { entries } = (await response.json()) as {
        entries: { type: string; subject: string }[];
      };
      if (types.every((type) => entries.some((entry) => entry.type === type))) {
        console.log(colors.bold(`\nThe order log, read back from D1 for tenant ${tenant}`));
        for (const { type, subject } of entries) {
          console.log(`  ${colors.dim(subject.padEnd(16))} ${type}`);
        }
        return;
      }
      if (performance.now() > until) throw new Error("The order log never got the orders' ends");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  #fetch(
    who: "customer" | "staff",
    path: string,
    body?: unknown,
    headers = {},
    method = "POST",
  ): Promise<Response> {
    return fetch(new URL(path, this.#url).href, {
      method,
      headers: {
        Authorization: `Bearer ${this.#tokens[who]}`,
        "Content-Type": "application/json",
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }
}

function reaches(state: string) {
  return (entry: JournalEntry): boolean => innermost(entry.state) === state;
}

function innermost(state: StateValue): string {
  if (typeof state === "string") return state;
  const [inner] = Object.values(state);
  return inner === undefined ? "" : innermost(inner);
}

function printEntry({ seq, event, by, state, changes, outcome }: JournalEntry): void {
  const name = nameOf(event.type);
  const label = outcome === "applied" ? name : `${name} (${outcome})`;
  const { total, items } = (changes.context?.set ?? {}) as {
    total?: { amount: number; currency: string };
    items?: unknown[];
  };
  const money =
    total && items
      ? colors.dim(
          `, ${items.length} in the box: ${(total.amount / 100).toFixed(2)} ${total.currency}`,
        )
      : "";
  // A user's id, as in its token, is long; her name stays with the auth service.
  printLine(String(seq), label, state, `by ${by.replace(/^(user:.{8}).*/, "$1…")}`, money);
}

function printLine(mark: string, label: string, state: StateValue, about: string, more = ""): void {
  const path = typeof state === "string" ? state : `${Object.keys(state)[0]}.${innermost(state)}`;
  console.log(
    `  ${colors.dim(mark.padStart(2))} ${colors.cyan(label.padEnd(28))} ${colors.yellow(path.padEnd(42))} ${colors.dim(about)}${more}`,
  );
}

function nameOf(type: string): string {
  return type
    .replace(/^xstate\.(done|error)\.actor\./, (_, end: string) => `${end}: `)
    .replace(/^xstate\.after\.(\w+)\..*/, "after $1");
}

async function within<Value>(promise: Promise<Value>, what: string): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`Waited ${PATIENCE / 1_000} s in vain for ${what}`)),
      PATIENCE,
    );
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

await checkedWorkflows();
await main();
