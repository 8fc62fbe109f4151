import type { TestBroker } from "../../support/broker.ts";
import type { Shop } from "./shop.ts";
import type { Wire, Withheld } from "./wire.ts";

/** Who is killed, and what must be under way just then; null for any moment. */
export interface Trouble {
  victim: "broker" | "runtime";
  during: Aim;
}

type Aim = Withheld | "acknowledged" | null;

export interface TroubleFigures {
  kills: Record<string, number>;
}

interface TroubleOptions {
  troubles: readonly Trouble[];
  between: number;
  broker: TestBroker | null;
  shop: Shop;
  wire: Wire | null;
  random: () => number;
  /** How many orders were confirmed so far: their tickets are on their way then. */
  confirmed: () => number;
  say?(text: string): void;
}

/** Milliseconds until what a kill is aimed at must have happened. */
const AIM = 6_000;

const named = {
  publish: "with a publication that never reached the broker",
  confirm: "between publish and confirm",
  ack: "between commit and acknowledgement",
  acknowledged: "right after an acknowledgement",
} as const;

/** In turn, so that even a few kills have some of each. */
const aims = {
  broker: ["publish", "confirm", null, "ack", "publish"],
  runtime: ["acknowledged", "ack", "confirm", null, "publish"],
} as const;

/** So many kills of each, in random order. */
export function inRandomOrder(
  kills: number,
  victims: readonly Trouble["victim"][],
  random: () => number,
): Trouble[] {
  const all = victims.flatMap((victim) =>
    Array.from({ length: kills }, (_, index): Trouble => {
      return { victim, during: aims[victim][index % aims[victim].length]! };
    }),
  );
  return all
    .map((trouble) => ({ trouble, place: random() }))
    .toSorted((one, other) => one.place - other.place)
    .map(({ trouble }) => trouble);
}

/** Kills the broker and the runtime, some at random moments, some while something is half-way. */
export class Troubles {
  readonly figures: TroubleFigures = { kills: {} };
  readonly #options: TroubleOptions;

  constructor(options: TroubleOptions) {
    this.#options = options;
  }

  async run(isOver: () => boolean): Promise<void> {
    const { random, between, troubles: all } = this.#options;
    for (const [index, trouble] of all.entries()) {
      await pause(500 + random() * between);
      if (isOver()) return;
      const what = await this.#happen(trouble);
      this.figures.kills[what] = (this.figures.kills[what] ?? 0) + 1;
      this.#options.say?.(`kill ${index + 1} of ${all.length}: ${what}`);
    }
  }

  /** What the local queues have in memory then is gone. */
  async #afterConfirmation(): Promise<string> {
    const { shop, confirmed, random } = this.#options;
    const before = confirmed();
    const deadline = performance.now() + AIM;
    while (confirmed() === before && performance.now() < deadline) await pause(1);
    const isHit = confirmed() > before;
    await pause(random() * 15);
    await shop.kill();
    await shop.restart();
    return `runtime killed ${isHit ? "right after a confirmation" : "at any moment"}`;
  }

  /** @returns what it hit */
  async #happen({ victim, during }: Trouble): Promise<string> {
    const { broker, shop, wire, random } = this.#options;
    if (wire === null) return this.#afterConfirmation();
    const isHit = during !== null && (await aim(wire, during));
    if (victim === "broker") {
      await broker!.kill();
      wire.passOn();
      await pause(random() * 500);
      await broker!.start();
    } else {
      await shop.kill();
      wire.passOn();
      await pause(random() * 500);
      await shop.restart();
    }
    const when = isHit ? named[during] : "at any moment";
    return `${victim} killed ${when}`;
  }
}

/** @returns whether what was aimed at has happened */
async function aim(wire: Wire, during: NonNullable<Aim>): Promise<boolean> {
  const before = wire.figures.acknowledged;
  if (during !== "acknowledged") wire.withhold(during);
  const isThere = () =>
    during === "acknowledged" ? wire.figures.acknowledged > before : wire.withheld > 0;
  const deadline = performance.now() + AIM;
  while (!isThere() && performance.now() < deadline) await pause(1);
  // What nobody waits for would be taken for done by now.
  if (during !== "acknowledged") await pause(100);
  return isThere();
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
