import { describe, expect, it } from "vitest";
import { shopChaos } from "./scenario.ts";
import type { Trouble } from "./troubles.ts";

/** The short form of `npm run chaos -- queues`. */
const seed = Number(process.env["DURACHART_SEED"] ?? 20_261_122);

describe("the shop over the local runtime's queues, which forget, killed under load", () => {
  it("brings every order to its end nevertheless", { timeout: 120_000 }, async () => {
    const troubles: Trouble[] = Array.from({ length: 2 }, () => ({
      ...{ victim: "runtime", during: null },
    }));
    const { violations, ...figures } = await shopChaos({
      ...{ seed, broker: null, troubles, between: 1_500, orders: 40 },
      ...{ customers: 8, pace: 200, hurry: 3 },
    });
    console.log(JSON.stringify(figures));
    expect(violations).toEqual([]);
    expect(figures).toMatchObject({ lost: 0, twice: 0, stuck: 0, webhooks: { vanished: 0 } });
    expect(figures.toStations.vanished + figures.toOrders.vanished).toBeGreaterThan(0);
    expect(figures.deadlines).toBeGreaterThan(0);
    expect(figures.delivered + figures.cancelled).toBe(figures.orders);
  });
});
