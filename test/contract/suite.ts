import { afterEach, describe, expect, it, vi } from "vitest";
import { randomFrom } from "../support/random.ts";
import { Bench } from "./bench.ts";
import type { Harness } from "./harness.ts";
import { otherSide, type Fate, type Try } from "./other-side.ts";

const second = 1_000;
const hour = 3_600_000;
const AT_ONCE = 16;

const what = ({ sender, lane, n }: Try) => `${sender} to ${lane}: ${n}`;

/** What every transport must do, whatever its other side does. */
export function transportContract(harness: Harness): void {
  const { order } = harness;

  afterEach(() => {
    otherSide.reset();
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  describe(`${harness.name}: a message`, () => {
    it.each([1, 2, 3])(
      "comes at least once, under one id, whatever fails (seed %i)",
      async (seed) => {
        const random = randomFrom(seed);
        const bench = await Bench.open(harness, 2);
        const fates: Fate[] = [];
        const fateOfTry = new Map<Try, Fate>();
        otherSide.fateOf = (attempt) => {
          const drawn = fateOfTry.get(attempt) ?? draw(random());
          if (!fateOfTry.has(attempt)) fates.push(drawn);
          fateOfTry.set(attempt, drawn);
          return drawn;
        };
        const said: string[] = [];
        for (let index = 0; index < 5; index++) {
          const place = await bench.sender();
          for (const from of [1, 3, 5]) {
            // Three times, two destinations: ten messages each.
            const numbers = from === 5 ? [5] : [from, from + 1];
            const all = numbers.flatMap((n) => [0, 1].map((lane) => ({ lane, n })));
            said.push(...all.map((one) => what({ ...one, sender: place.sender, id: "" })));
            await bench.say(place, all);
          }
        }
        let crashes = 0;
        await bench.drain(async (round) => {
          if (random() > 0.15) return;
          crashes += 1;
          await bench.crash(round);
        });
        expect(said).toHaveLength(50);
        expect(new Set(otherSide.taken.map(what))).toEqual(new Set(said));
        expect(new Set(fates)).toEqual(new Set(["take", "refuse", "lose"]));
        expect(crashes).toBeGreaterThan(0);
        const ids = new Map<string, Set<string>>();
        for (const one of otherSide.tries) {
          ids.set(what(one), (ids.get(what(one)) ?? new Set()).add(one.id));
        }
        for (const known of ids.values()) expect(known.size).toBe(1);
        expect(new Set([...ids.values()].flatMap((known) => [...known])).size).toBe(50);
        if (order.isKept) for (const came of byDestination()) expect(came).toEqual([1, 2, 3, 4, 5]);
      },
    );

    it.each([0.001, 0.5, 0.999])(
      "is tried again after %d of 1 s, 2 s, 4 s … up to an hour, never early",
      async (share) => {
        const bench = await Bench.open(harness, 1);
        const place = await bench.sender();
        otherSide.fateOf = () => "refuse";
        vi.spyOn(Math, "random").mockReturnValue(share);
        await bench.say(place, [{ lane: 0, n: 1 }]);
        await bench.still();
        for (let tries = 1; tries <= 14; tries++) {
          const wait = Math.ceil(share * Math.min(hour, second * 2 ** (tries - 1)));
          expect(otherSide.tries).toHaveLength(tries);
          expect(await bench.kept(place)).toEqual([
            { attempt: tries, due: bench.now + wait, isParked: false },
          ]);
          await bench.goTo(bench.now + wait - 1);
          expect(otherSide.tries).toHaveLength(tries);
          await bench.goTo(bench.now + 1);
        }
      },
    );

    it("is held up by no other destination that is dead or hangs, and by no other instance", async () => {
      const bench = await Bench.open(harness, 3);
      const [one, other] = [await bench.sender(), await bench.sender()];
      const [dead, hanging, well] = [0, 1, 2];
      otherSide.fateOf = ({ sender, lane }) => {
        if (lane === dead) return "refuse";
        return lane === hanging && sender === one.sender ? "hang" : "take";
      };
      const all = [1, 2, 3].flatMap((n) => [dead, hanging, well].map((lane) => ({ lane, n })));
      await bench.say(one, all);
      await bench.say(other, all);
      const cameTo = (sender: string, lane: number) =>
        otherSide.taken.filter((taken) => taken.sender === sender && taken.lane === lane).length;
      await expect.poll(() => cameTo(one.sender, well), { timeout: 5_000 }).toBe(3);
      await expect.poll(() => cameTo(other.sender, well), { timeout: 5_000 }).toBe(3);
      await expect.poll(() => cameTo(other.sender, hanging), { timeout: 5_000 }).toBe(3);
      expect(cameTo(one.sender, hanging)).toBe(0);
      // Nor by time: no clock was moved.
      otherSide.fateOf = () => "take";
      await bench.drain();
      expect(otherSide.taken).toHaveLength(18);
    });

    it(`is one of sixteen under way at once ${harness.sixteen}, and the others follow`, async () => {
      const isShared = harness.sixteen === "at a destination";
      const bench = await Bench.open(harness, isShared ? 1 : 60);
      otherSide.fateOf = () => "hang";
      const places = [await bench.sender()];
      if (isShared) {
        for (let n = 1; n < 60; n++) places.push(await bench.sender());
        for (const place of places) await bench.say(place, [{ lane: 0, n: 1 }]);
      } else {
        await bench.say(
          places[0]!,
          Array.from({ length: 60 }, (_, lane) => ({ lane, n: 1 })),
        );
      }
      await expect.poll(() => otherSide.underWay(), { timeout: 5_000 }).toBe(AT_ONCE);
      // Whatever comes or rings now finds no place.
      await bench.say(places[0]!, [{ lane: 0, n: 2 }]);
      await bench.goTo(bench.now + second);
      expect(otherSide.underWay()).toBe(AT_ONCE);
      let most = 0;
      otherSide.fateOf = () => {
        most = Math.max(most, otherSide.underWay());
        return "take";
      };
      await bench.drain();
      expect(new Set(otherSide.taken.map(what)).size).toBe(61);
      expect(most).toBeLessThanOrEqual(AT_ONCE);
      if (!isShared) expect(otherSide.mostOf(places[0]!.sender)).toBe(AT_ONCE);
    });

    it("is parked after 24 hours, visibly; sent again exactly once; or discarded", async () => {
      const bench = await Bench.open(harness, 2);
      const place = await bench.sender();
      otherSide.fateOf = () => "refuse";
      await bench.say(place, [
        { lane: 0, n: 1 },
        { lane: 1, n: 1 },
      ]);
      await bench.still();
      const began = bench.now;
      await bench.goTo(began + 24 * hour - 1);
      expect((await bench.kept(place)).map(({ isParked }) => isParked)).toEqual([false, false]);
      await bench.goTo(began + 26 * hour);
      expect((await bench.kept(place)).map(({ isParked }) => isParked)).toEqual([true, true]);
      const shown = await bench.shown(place);
      expect(shown).toHaveLength(2);
      for (const error of shown) expect(error).toMatch(/down|500/);

      const letters = await bench.letters(2);
      for (const { origin, status, reason } of letters) {
        expect(origin).toMatch(harness.origin);
        expect(status).toBe("dead");
        expect(reason.detail).toMatch(/down|500/);
      }
      const tried = otherSide.tries.length;
      otherSide.fateOf = () => "take";
      const [again, given] = letters.map(({ id }) => id) as [string, string];
      const asked = await Promise.all([1, 2, 3].map(() => bench.redrive(again)));
      expect(asked).toContain(200);
      await bench.drain();
      await bench.redrive(again);
      await bench.drain();
      expect(otherSide.tries).toHaveLength(tried + 1);
      expect(await bench.discard(given)).toBe(200);
      await bench.drain();
      await bench.goTo(bench.now + 2 * hour);
      expect(await bench.kept(place)).toEqual([]);
      expect(otherSide.taken).toHaveLength(1);
      // Under the id that it always had.
      const known = otherSide.tries.filter(({ lane }) => lane === otherSide.taken[0]!.lane);
      expect(new Set(known.map(({ id }) => id)).size).toBe(1);
      expect(await bench.letters(0)).toEqual([]);
      expect(await bench.shown(place)).toEqual([]);
    });
  });
}

function draw(luck: number): Fate {
  if (luck < 0.3) return "refuse";
  return luck < 0.5 ? "lose" : "take";
}

/** What came first of each message, in its order, by sender and destination. */
function byDestination(): number[][] {
  const came = new Map<string, Set<number>>();
  for (const { sender, lane, n } of otherSide.taken) {
    const destination = `${sender} ${lane}`;
    came.set(destination, (came.get(destination) ?? new Set()).add(n));
  }
  return [...came.values()].map((numbers) => [...numbers]);
}
