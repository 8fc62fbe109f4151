import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sabotages, type Sabotage } from "../chaos/shop/alterations.ts";
import { shopChaos } from "../chaos/shop/scenario.ts";
import type { Trouble } from "../chaos/shop/troubles.ts";
import { startBroker, type TestBroker } from "../support/broker.ts";

/** The short form of `npm run chaos -- rabbitmq`. */
const seed = Number(process.env["DURACHART_SEED"] ?? 20_261_122);
const short = { seed, between: 500, orders: 40, customers: 6, pace: 300, hurry: 3 };

let broker: TestBroker;

beforeAll(async () => {
  broker = await startBroker();
});

afterAll(async () => {
  await broker.remove();
});

describe("the shop over RabbitMQ, its broker and its runtime killed under load", () => {
  it("loses nothing, does nothing twice, and comes to rest", async () => {
    const troubles: Trouble[] = [
      { victim: "runtime", during: "ack" },
      { victim: "broker", during: "confirm" },
    ];
    const { violations, kills, ...figures } = await shopChaos({ ...short, broker, troubles });
    console.log(JSON.stringify({ ...figures, kills }));
    expect(violations).toEqual([]);
    expect(figures).toMatchObject({
      ...{ lost: 0, twice: 0, stuck: 0 },
      toStations: { vanished: 0 },
      toOrders: { vanished: 0 },
      webhooks: { vanished: 0 },
    });
    expect(figures.orders).toBeGreaterThanOrEqual(short.orders);
    // What was aimed at was hit, and what was to be repeated was repeated.
    expect(Object.keys(kills)).toContain("runtime killed between commit and acknowledgement");
    expect(Object.keys(kills)).toContain("broker killed between publish and confirm");
    expect(figures.wire!.unconfirmed).toBeGreaterThan(0);
    expect(figures.wire!.redelivered).toBeGreaterThan(0);
    expect(figures.repeats).toBeGreaterThan(0);
  });

  const aimedAt: Record<Sabotage, Trouble> = {
    "acknowledged before it is safe": { victim: "runtime", during: "acknowledged" },
    "published without waiting for the confirm": { victim: "broker", during: "publish" },
  };

  it.each(Object.keys(sabotages) as Sabotage[])("is found out where it is %s", async (sabotage) => {
    const troubles = [aimedAt[sabotage]];
    const { violations } = await shopChaos({
      ...{ ...short, broker, troubles, sabotage, orders: 15, patience: 3_000 },
    });
    expect(violations.join("\n")).toMatch(/: \d+ of \d+ never arrived/);
  });
});
