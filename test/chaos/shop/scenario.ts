import { furnishTheShop } from "../../../src/cli/furnish.ts";
import { makeSecrets, mintToken } from "../../../src/cli/secrets.ts";
import type { EndpointView, EndpointWithSecret } from "../../../src/contract/webhooks.ts";
import type { JournalEntry, View } from "../../../src/contract/view.ts";
import type { TestBroker, VirtualHost } from "../../support/broker.ts";
import { randomFrom } from "../../support/random.ts";
import { forgetful, hurried, sabotages, type Sabotage } from "./alterations.ts";
import { audit, type Audit, type Seen } from "./audit.ts";
import { Caller } from "./caller.ts";
import { Customer, Worker, type Station } from "./people.ts";
import { readStation } from "./stations.ts";
import { Receiver } from "./receiver.ts";
import { Shop } from "./shop.ts";
import { Troubles, type Trouble, type TroubleFigures } from "./troubles.ts";
import { Wire } from "./wire.ts";

export interface ShopChaosOptions {
  seed: number;
  /** Over it go kitchen and delivery; without it, over the local runtime's queues, which forget. */
  broker: TestBroker | null;
  /** Who is killed, and when, one after the other. Without a broker: right after a confirmation. */
  troubles: readonly Trouble[];
  /** Milliseconds between two kills, at most. */
  between: number;
  /** Orders that there must have been when the load ends. */
  orders: number;
  customers: number;
  /** Milliseconds between two orders of a customer, on average. */
  pace: number;
  /** Seconds after which work whose process died is taken over; the real times by default. */
  hurry?: number;
  sabotage?: Sabotage;
  /** Milliseconds without any change after which what isn't at its end never will be. */
  patience?: number;
  say?(text: string): void;
}

export interface ShopChaosReport extends Audit, TroubleFigures {
  orders: number;
  /** Answers that never reached who had asked, who then asked again. */
  lostAnswers: number;
  /** Times that somebody said RETRY to an order that asked for a decision. */
  retries: number;
  refused: Receiver["refused"];
  wire: Wire["figures"] | null;
  seconds: number;
}

/** Milliseconds without any change after which what isn't at its end never will be. */
const STILL = 20_000;

const STATIONS: readonly Station[] = ["kitchen", "delivery"];

/** The whole shop under load, its runtime and its broker killed again and again; then held to its promises. */
export async function shopChaos(options: ShopChaosOptions): Promise<ShopChaosReport> {
  const receiver = new Receiver(randomFrom(options.seed + 1));
  const wire = options.broker === null ? null : new Wire(options.broker.port);
  try {
    return await shopChaosWith(options, receiver, wire);
  } finally {
    wire?.close();
    receiver.close();
  }
}

async function shopChaosWith(
  options: ShopChaosOptions,
  receiver: Receiver,
  wire: Wire | null,
): Promise<ShopChaosReport> {
  const began = performance.now();
  const { seed, broker, hurry, sabotage } = options;
  const origin = await receiver.listen();
  const host = broker === null ? null : await broker.freshHost();
  const secrets = makeSecrets();
  const port = await wire?.listen();
  const shop = await Shop.start({
    variables: {
      ...secrets.variables,
      WEBHOOK_LOCAL_TARGETS: origin,
      ...(host === null ? {} : { RABBITMQ_URL: host.url(port!) }),
    },
    alterations: [
      ...(broker === null ? forgetful : []),
      ...(hurry === undefined ? [] : hurried(hurry)),
      ...(sabotage === undefined ? [] : [sabotages[sabotage]]),
    ],
  });
  await furnishTheShop(shop.url, secrets);
  const roles = ["customer", "service", "operator"];
  const subject = { subject: "chaos", roles, scopes: ["dead-letters"] };
  const caller = new Caller(
    () => shop.url,
    await mintToken(secrets, subject, "2h"),
    randomFrom(seed + 2),
  );
  const run = new Run(options, { caller, receiver, host });
  const troubles = new Troubles({
    ...{ ...options, shop, wire, random: randomFrom(seed) },
    confirmed: () => run.confirmed(),
  });
  try {
    await run.openEndpoint(origin);
    await run.load((isOver) => troubles.run(isOver));
    const seen = await run.atRest();
    await shop.kill();
    for (const station of STATIONS) {
      const { taken, reported } = readStation(shop.objects(`durachart-${station}`, "Station"));
      seen.taken[station] = taken;
      seen.reported[station] = reported;
    }
    if (wire !== null) seen.left["dead letters published"] = wire.figures.dead;
    const seconds = Math.round((performance.now() - began) / 1_000);
    return {
      ...audit(seen, { isForgetful: broker === null }),
      ...run.figures(),
      ...troubles.figures,
      ...{ wire: wire?.figures ?? null, refused: receiver.refused, lostAnswers: caller.lost },
      seconds,
    };
  } finally {
    run.stop();
    await shop.remove();
  }
}

interface Parts {
  caller: Caller;
  receiver: Receiver;
  host: VirtualHost | null;
}

class Run {
  readonly #options: ShopChaosOptions;
  readonly #parts: Parts;
  readonly #customers: Customer[];
  readonly #workers: Worker[];
  readonly #retried = new Set<string>();
  #isLoadOver = false;
  #isOver = false;
  #working: Promise<unknown> = Promise.resolve();

  constructor(options: ShopChaosOptions, parts: Parts) {
    this.#options = options;
    this.#parts = parts;
    const { seed, customers } = options;
    const { caller } = parts;
    this.#customers = Array.from(
      { length: customers },
      (_, index) => new Customer(caller, `c${index}`, randomFrom(seed + 100 + index)),
    );
    this.#workers = STATIONS.flatMap((station, row) =>
      [0, 1].map((index) => {
        const random = randomFrom(seed + 200 + 10 * row + index);
        return new Worker(caller, station, `w${index}`, random);
      }),
    );
  }

  async openEndpoint(origin: string): Promise<void> {
    const { caller, receiver } = this.#parts;
    const request = { url: `${origin}/told`, types: ["order.*"] };
    const { status, body } = await caller.call("POST", "/webhooks", request);
    if (status !== 201) throw new Error(`POST /webhooks: ${JSON.stringify(body)}`);
    receiver.secret = (body as EndpointWithSecret).secret;
  }

  /** @param troubles what happens meanwhile */
  async load(troubles: (isOver: () => boolean) => Promise<void>): Promise<void> {
    const { pace, orders } = this.#options;
    this.#working = Promise.all(this.#workers.map((worker) => worker.run(() => this.#isOver)));
    const ordering = Promise.all(
      this.#customers.map((customer) => customer.run(pace, () => this.#isLoadOver)),
    );
    const failed = Promise.all([this.#working, ordering]);
    failed.catch(() => {
      this.#isLoadOver = true;
    });
    await troubles(() => this.#isLoadOver);
    while (this.#orders().length < orders && !this.#isLoadOver) await pause(100);
    this.#isLoadOver = true;
    await ordering;
  }

  /** Waits until all orders have ended, or nothing changes any more; somebody decides where it is asked for. */
  async atRest(): Promise<Seen> {
    const { receiver, caller } = this.#parts;
    this.#options.say?.("the load is over; waiting for everything to come to rest");
    receiver.isFaulty = false;
    const views = new Map<string, View>();
    let last = "";
    let stillSince = performance.now();
    let left: Record<string, number> = {};
    for (;;) {
      for (const order of this.#orders()) {
        const known = views.get(order);
        if (known !== undefined && isEnded(known)) continue;
        const view = await caller.get<View>(`/orders/${order}`);
        views.set(order, view);
        if (JSON.stringify(view.state).includes('"errorIn')) await this.#decide(view);
      }
      left = await this.#left();
      const open = [...views.values()].filter((view) => !isEnded(view));
      if (open.length === 0 && Object.values(left).every((count) => count === 0)) break;
      const now = JSON.stringify([open.map(({ id, seq }) => [id, seq]), left]);
      // What will be tried again at a time that is known isn't still yet.
      const isWaiting = open.some(({ retrying, pending }) => retrying.length + pending > 0);
      if (now !== last || isWaiting || left["webhooks waiting"] !== 0)
        stillSince = performance.now();
      last = now;
      const { patience = STILL } = this.#options;
      if (performance.now() - stillSince > patience) break;
      await pause(250);
    }
    this.#isOver = true;
    await this.#working;
    const orders: Seen["orders"] = new Map();
    for (const [order, view] of views) {
      const path = `/orders/${order}/history?limit=1000`;
      const { entries } = await caller.get<{ entries: JournalEntry[] }>(path);
      orders.set(order, { view, journal: entries });
    }
    return {
      ...{ orders, left, receipts: receiver.receipts, logged: await this.#logged() },
      told: this.#customers.flatMap(({ told }) => told),
      done: this.#workers.flatMap(({ done }) => done),
      taken: { kitchen: [], delivery: [] },
      reported: { kitchen: 0, delivery: 0 },
    };
  }

  async #logged(): Promise<number> {
    for (let all = 0, after = 0; ;) {
      const path = `/orderlog/log?limit=1000&after=${after}`;
      const { entries } = await this.#parts.caller.get<{ entries: { position: number }[] }>(path);
      if (entries.length === 0) return all;
      all += entries.length;
      after = entries.at(-1)!.position;
    }
  }

  async #decide(view: View): Promise<void> {
    const moment = `${view.id} ${view.seq}`;
    if (this.#retried.has(moment)) return;
    this.#retried.add(moment);
    const customer = this.#customers.find(({ orders }) => orders.includes(view.id))!;
    await customer.retry(view);
  }

  async #left(): Promise<Record<string, number>> {
    const { caller, host } = this.#parts;
    const { endpoints } = await caller.get<{ endpoints: EndpointView[] }>("/webhooks");
    const letters = await caller.get<{ letters: unknown[] }>("/dead-letters");
    const left: Record<string, number> = {
      "webhooks waiting": endpoints.reduce((sum, { waiting }) => sum + waiting, 0),
      "webhooks parked": endpoints.reduce((sum, { parked }) => sum + parked, 0),
      "dead letters": letters.letters.length,
    };
    for (const station of STATIONS) {
      const { pending } = await caller.get<{ pending: unknown[] }>(`/${station}/pending`);
      left[`jobs in the ${station}`] = pending.length;
    }
    for (const [queue, messages] of Object.entries((await host?.messages()) ?? {})) {
      left[`messages in ${queue}`] = messages;
    }
    return left;
  }

  #orders(): string[] {
    return this.#customers.flatMap(({ orders }) => orders);
  }

  /** How many orders their customers know to be confirmed. */
  confirmed(): number {
    return this.#customers.reduce((sum, { confirmed }) => sum + confirmed, 0);
  }

  figures(): Pick<ShopChaosReport, "orders" | "retries"> {
    return { orders: this.#orders().length, retries: this.#retried.size };
  }

  stop(): void {
    this.#isLoadOver = true;
    this.#isOver = true;
  }
}

function isEnded({ state, pending }: View): boolean {
  return (state === "delivered" || state === "cancelled") && pending === 0;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
