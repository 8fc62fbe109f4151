import * as fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { OUTSIDE } from "../support/chart-parts.ts";
import { Durable } from "../support/durable.ts";
import { history, type Move } from "../support/moves.ts";
import { Oracle } from "../support/oracle.ts";
import { randomChart } from "../support/random-chart.ts";
import { Tape } from "../support/tape.ts";

const RUNS = Number(process.env["DURACHART_REWIND_RUNS"] ?? 300);

/** Makes one move in both. @returns false where the one can't be compared with the other any more */
function moveBoth(
  oracle: Oracle,
  durable: Durable,
  { kind, choice }: Move,
  ahead: number,
): boolean {
  try {
    if (kind === "send") {
      const type = OUTSIDE[choice % OUTSIDE.length]!;
      oracle.send({ type });
      durable.send(type, 0);
    } else if (kind === "advance") {
      const now = durable.now + (choice % 40);
      oracle.advance(now - ahead);
      durable.advance(now);
    } else {
      const running = oracle.promises().length;
      if (running === 0) return true;
      const [index, output] = [choice % running, { n: choice }];
      const fails = choice % 3 === 0;
      oracle.settle(index, fails ? { error: new Error("it failed") } : { output });
      const error = { name: "Error", message: "it failed" };
      durable.settle(index, fails ? { error } : { output }, 1);
    }
  } catch {
    // What is thrown rolls back here; in memory it ends the machine.
    return false;
  }
  return !oracle.hasLeaked && oracle.show().status === "active";
}

/** What has left since so much had left. */
const since = (of: Oracle | Durable, before: { commands: number; emitted: number }) => ({
  commands: of.commands.slice(before.commands),
  emitted: of.emitted.slice(before.emitted),
});
const soFar = ({ commands, emitted }: Oracle | Durable) => ({
  commands: commands.length,
  emitted: emitted.length,
});

/** Both after some moves, and after which of them an entry was written. */
function live(chart: number, moves: readonly Move[]) {
  const machine = randomChart(new Tape(chart));
  const oracle = new Oracle(machine);
  const durable = new Durable(machine);
  durable.start();
  const places: { moves: number; seq: number }[] = [];
  for (const [index, move] of moves.entries()) {
    const { seq } = durable;
    if (!moveBoth(oracle, durable, move, 0)) break;
    // Where the clock stands still at the entry, the oracle's and ours agree on how late it is.
    if (durable.seq > seq && durable.timeOf(durable.seq) === durable.now) {
      places.push({ moves: index + 1, seq: durable.seq });
    }
  }
  return { machine, durable, places };
}

describe("an instance put back to where it was", () => {
  it("goes on as one that has never been elsewhere", async () => {
    vi.spyOn(console, "warn").mockReturnValue();
    let compared = 0;
    let withPromises = 0;
    const whole = fc.tuple(fc.nat(), history, history, fc.nat(), fc.boolean());
    await fc.assert(
      fc.asyncProperty(whole, async ([chart, moves, next, which, crash]) => {
        let begun: ReturnType<typeof live>;
        try {
          begun = live(chart, moves);
        } catch {
          // A chart that is refused, or never comes to rest at its beginning.
          return;
        }
        const { machine, durable, places } = begun;
        const place = places[which % places.length];
        if (place === undefined || place.seq === durable.seq) return;
        const alone = new Durable(machine);
        const oracle = new Oracle(machine);
        alone.start();
        for (const move of moves.slice(0, place.moves)) moveBoth(oracle, alone, move, 0);

        if (crash) durable.crash(which % 2 === 0 ? "before" : "after");
        durable.rewind(place.seq);
        expect(durable.show()).toEqual(oracle.show());
        expect((await durable.verify()).problems).toEqual([]);
        const running = oracle.promises().length;
        expect(durable.promises()).toHaveLength(running);
        if (running > 0) withPromises += 1;
        compared += 1;
        const [ours, theirs] = [soFar(durable), soFar(oracle)];
        const ahead = durable.now - alone.now;
        for (const move of next) {
          if (!moveBoth(oracle, durable, move, ahead)) return;
          expect(durable.show()).toEqual(oracle.show());
          expect(since(durable, ours)).toEqual(since(oracle, theirs));
        }
      }),
      { numRuns: RUNS },
    );
    expect(compared).toBeGreaterThan(RUNS / 3);
    expect(withPromises).toBeGreaterThan(RUNS / 20);
  }, 300_000);
});
