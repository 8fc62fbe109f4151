import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { counter } from "../support/counter.ts";
import { OUTSIDE } from "../support/chart-parts.ts";
import { Durable } from "../support/durable.ts";
import { randomChart } from "../support/random-chart.ts";
import { Tape } from "../support/tape.ts";

beforeEach(() => {
  vi.spyOn(console, "warn").mockReturnValue();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** Lets things happen. @returns false where the chart threw: the tries of its timers are not journalled */
function live(durable: Durable, moves: readonly number[]): boolean {
  for (const move of moves) {
    try {
      const running = durable.promises().length;
      if (move % 3 === 0 && running > 0) durable.settle(move % running, { output: move }, 1);
      else if (move % 3 === 1) durable.advance(durable.now + (move % 40));
      else durable.send(OUTSIDE[move % OUTSIDE.length]!, 0);
    } catch {
      return false;
    }
  }
  return true;
}

/** The history's values: the order of keys that are numbers is not kept. */
async function told(durable: Durable): Promise<unknown[]> {
  return (await durable.history()).map(({ data, state, changes, ...row }) => ({
    ...row,
    json: [data ?? "null", state, changes].map((text) => JSON.parse(text) as unknown),
    hasData: data !== null,
  }));
}

async function isWhole(durable: Durable, through: number): Promise<void> {
  const { status, problems, to } = await durable.verify();
  expect({ status, problems, to }).toEqual({ status: "intact", problems: [], to: durable.seq });
  const seqs = (await durable.history()).map(({ seq }) => seq);
  expect(seqs).toEqual(Array.from({ length: durable.seq }, (_, index) => index + 1));
  for (const { seq, told, seen } of await durable.momentsAnywhere()) {
    expect(told, `seq ${seq}`).toEqual(seen);
  }
  for (const { seq, told, seen } of durable.moments()) {
    if (seq > through) expect(told, `seq ${seq}, in the journal`).toEqual(seen);
  }
}

const moves = fc.array(fc.nat(1_000), { minLength: 5, maxLength: 25, size: "max" });

const archiving = fc.record({
  moves,
  keep: fc.integer({ min: 1, max: 12 }),
  partEntries: fc.integer({ min: 1, max: 9 }),
  crash: fc.option(
    fc.record({
      when: fc.constantFrom("before" as const, "after" as const),
      commits: fc.integer({ min: 1, max: 6 }),
    }),
  ),
});

it("Any chart's history, archived at any time and killed at any commit, tells the same", async () => {
  let archived = 0;
  let crashes = 0;
  let carried = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.nat(),
      fc.array(archiving, { minLength: 1, maxLength: 3 }),
      async (chart, turns) => {
        const durable = new Durable(randomChart(new Tape(chart)));
        try {
          durable.start();
        } catch {
          return;
        }
        for (const { moves, keep, partEntries, crash } of turns) {
          if (!live(durable, moves)) return;
          const before = await told(durable);
          if (crash !== null) durable.crash(crash.when, crash.commits);
          await durable.archive(keep, partEntries);
          expect(await told(durable)).toEqual(before);
          await isWhole(durable, durable.archivedThrough);
          expect(durable.archivedThrough).toBeGreaterThanOrEqual(durable.seq - keep);
          // How each actor that runs was asked for is known, wherever that stands.
          expect(durable.runs()).toBe(durable.promises().length);
          carried += durable.promises().length;
        }
        archived += durable.archivedThrough;
        crashes += durable.crashes;
      },
    ),
    { numRuns: 120 },
  );
  expect(archived).toBeGreaterThan(300);
  expect(crashes).toBeGreaterThan(30);
  expect(carried).toBeGreaterThan(20);
}, 120_000);

describe("an instance that is archived", () => {
  /** Counts so often. */
  function counted(times: number): Durable {
    const durable = new Durable(counter);
    durable.start();
    for (let n = 0; n < times; n++) durable.send("COUNT", 0);
    return durable;
  }

  it.each(
    Array.from({ length: 8 }, (_, index) => index + 1).flatMap((commit) =>
      (["before", "after"] as const).map((when) => [when, commit] as const),
    ),
  )("and dies %s commit %i writes the same objects, once", async (when, commit) => {
    const undisturbed = counted(40);
    await undisturbed.archive(9, 8);
    const durable = counted(40);
    durable.crash(when, commit);
    await durable.archive(9, 8);
    expect(durable.crashes).toBe(1);
    expect([...durable.bucket.objects]).toEqual([...undisturbed.bucket.objects]);
    expect([...durable.bucket.objects.keys()]).toEqual(
      ["1-8", "9-16", "17-24", "25-32"].map((part) => `journal/o/1/${part}.ndjson`),
    );
    await isWhole(durable, 32);
  });

  it("and erased meanwhile leaves nothing behind", async () => {
    const durable = counted(20);
    durable.bucket.onPut = (key) => {
      if (key.includes("/9-")) durable.erase();
    };
    await durable.archive(4, 8);
    expect([...durable.bucket.objects.keys()]).toEqual(["journal/o/1/1-8.ndjson"]);
  });

  it("and erased and started anew meanwhile keeps the new history, and nothing of the old", async () => {
    const durable = counted(20);
    durable.bucket.onPut = () => {
      durable.bucket.onPut = undefined;
      durable.erase();
      durable.restart();
      durable.now += 1;
      durable.start();
      for (let n = 0; n < 15; n++) durable.send("COUNT", 0);
    };
    await durable.archive(4, 8);
    expect(durable.bucket.objects.size).toBe(0);
    expect((await durable.history()).map(({ seq }) => seq)).toHaveLength(16);
    await durable.archive(4, 8);
    expect(durable.archivedThrough).toBe(12);
  });

  it("is not, where its journal lacks something", async () => {
    const durable = counted(20);
    durable.lose(5);
    await expect(durable.archive(4, 8)).rejects.toThrow("lacks entries between 1 and 9");
    expect(durable.bucket.objects.size).toBe(0);
  });
});
