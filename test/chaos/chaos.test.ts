import { describe, expect, it } from "vitest";
import { chaos } from "./run.ts";
import { sabotages, type Sabotage } from "./sabotage.ts";

const short = { kills: 3, between: 1_500, events: 1_200, lease: 2_000 };
const seed = Number(process.env["DURACHART_SEED"] ?? 20_261_122);

describe("the real runtime, killed under load", () => {
  it("keeps every promise", { timeout: 120_000 }, async () => {
    const { violations, interrupted, ...figures } = await chaos({ ...short, seed, kills: 4 });
    console.log(JSON.stringify({ seed, ...figures, interrupted }));
    expect(violations).toEqual([]);
    expect(figures.events).toBeGreaterThanOrEqual(short.events);
    expect(figures.timers).toBeGreaterThan(100);
    expect(figures.reconnects).toBeGreaterThan(0);
    // Those that were started right before a kill as well.
    expect(figures.listed).toBeGreaterThan(50);
  });

  it.each(Object.keys(sabotages) as Sabotage[])(
    "is found out where it is built without: %s",
    { timeout: 120_000 },
    async (sabotage) => {
      const { violations } = await chaos({ ...short, seed, sabotage });
      expect(violations).not.toEqual([]);
    },
  );
});
