import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import * as fc from "fast-check";
import { expect, it } from "vitest";
import { RESERVED_FOR } from "../../services/contracts/catalog.ts";
import {
  advance,
  catalog,
  claimOf,
  confirm,
  keep,
  problemOf,
  product,
  release,
  reserve,
  shelfOf,
  staff,
  stockOf,
  value,
} from "./service.ts";

type Step =
  | { do: "reserve" | "keep" | "release" | "confirm"; order: number; round: number; pieces: number }
  | { do: "setStock"; onHand: number }
  | { do: "wait"; milliseconds: number }
  | { do: "ring" | "evict" | "abort" };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom("reserve", "reserve", "keep", "release", "confirm"),
      order: fc.integer({ min: 0, max: 3 }),
      round: fc.integer({ min: 1, max: 3 }),
      pieces: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("setStock" as const),
      onHand: fc.integer({ min: 0, max: 6 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      milliseconds: fc.constantFrom(1, RESERVED_FOR / 2, RESERVED_FOR),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("ring", "evict", "abort") }) },
);

/** What one piece of an order has come to. */
interface Piece {
  round: number;
  /** Taken from what is free, as long as it isn't given back. */
  takes: boolean;
  /** Of a hold alone. */
  until: number;
  fate: "open" | "kept" | "used" | "given back" | "refused";
}

/** The shelf as its page in docs/catalog.md tells it: pieces in a list, and a clock. */
class Model {
  onHand: number;
  now = 0;
  readonly #pieces = new Map<string, Piece>();

  constructor(onHand: number) {
    this.onHand = onHand;
  }

  get reserved(): number {
    return [...this.#pieces.keys()].filter((key) => this.#isTaken(key)).length;
  }

  get free(): number {
    return Math.max(0, this.onHand - this.reserved);
  }

  reserve(keys: string[], round: number): boolean {
    const earlier = keys.map((key) => this.#pieces.get(key));
    const isOver = earlier.some(
      (piece) =>
        piece !== undefined &&
        (piece.round > round ||
          (piece.round === round && (piece.fate === "given back" || piece.fate === "refused"))),
    );
    if (isOver) {
      // What the round has beside it is given back, too.
      this.release(keys, round);
      return false;
    }
    const wanted = keys.filter((key) => !this.#isDecided(key, round));
    const missing = wanted.filter((key) => !this.#isTaken(key));
    const short = missing.slice(this.free);
    for (const key of short) this.#set(key, { round, takes: false, until: 0, fate: "refused" });
    if (short.length > 0) {
      this.release(keys, round);
      return false;
    }
    for (const key of wanted) {
      this.#set(key, { round, takes: true, until: this.now + RESERVED_FOR, fate: "open" });
    }
    return true;
  }

  keep(keys: string[], round: number): boolean {
    const results = keys.map((key) => {
      const piece = this.#pieces.get(key);
      if (piece?.round === round && piece.fate === "used") return true;
      if (piece !== undefined && piece.round > round) return false;
      if (piece?.round === round && ["given back", "refused"].includes(piece.fate)) return false;
      if (!this.#isTaken(key) && this.free === 0) return false;
      this.#set(key, { round, takes: true, until: Infinity, fate: "kept" });
      return true;
    });
    return results.every(Boolean);
  }

  release(keys: string[], round: number): void {
    for (const key of keys) {
      const piece = this.#pieces.get(key);
      if (piece !== undefined && piece.round > round) continue;
      if (piece?.round === round && ["used", "refused"].includes(piece.fate)) continue;
      this.#set(key, { round, takes: false, until: 0, fate: "given back" });
    }
  }

  confirm(keys: string[], round: number): void {
    for (const key of keys) {
      const piece = this.#pieces.get(key);
      if (piece !== undefined && piece.round > round) continue;
      if (piece?.round === round && piece.fate === "used") continue;
      this.onHand = Math.max(0, this.onHand - 1);
      this.#set(key, { round, takes: false, until: 0, fate: "used" });
    }
  }

  #isTaken(key: string): boolean {
    const piece = this.#pieces.get(key);
    return piece !== undefined && piece.takes && piece.until > this.now;
  }

  #isDecided(key: string, round: number): boolean {
    const piece = this.#pieces.get(key);
    return piece?.round === round && (piece.fate === "used" || this.#isTaken(key));
  }

  #set(key: string, piece: Piece): void {
    this.#pieces.set(key, piece);
  }
}

async function act(id: string, model: Model, one: Step): Promise<void> {
  switch (one.do) {
    case "wait":
      advance(one.milliseconds);
      model.now += one.milliseconds;
      return;
    case "ring":
      await runDurableObjectAlarm(shelfOf(id));
      return;
    case "evict":
      await runInDurableObject(shelfOf(id), () => undefined);
      await evictDurableObject(shelfOf(id));
      return;
    case "abort":
      await abortAllDurableObjects();
      return;
    case "setStock": {
      const reply = await catalog.setStock(staff, id, one.onHand);
      if (one.onHand < model.reserved) {
        expect(problemOf(reply)).toMatchObject({ status: 409, reserved: model.reserved });
      } else {
        value(reply);
        model.onHand = one.onHand;
      }
      return;
    }
    default: {
      const products = Array.from({ length: one.pieces }, () => id);
      const claim = claimOf(`orders/${one.order}`, one.round, ...products);
      const keys = claim.lines.map(({ line }) => `${one.order} ${line}`);
      // Everything is said twice, and the second time at once with a third.
      const thrice = async <Answer>(call: () => Promise<Answer>): Promise<Answer> => {
        const first = await call();
        const again = await Promise.all([call(), call()]);
        expect(again).toEqual([first, first]);
        return first;
      };
      if (one.do === "reserve") {
        const { reserved } = await thrice(() => reserve(claim));
        expect(reserved).toBe(model.reserve(keys, one.round));
      } else if (one.do === "keep") {
        expect(await thrice(() => keep(claim))).toEqual({ kept: model.keep(keys, one.round) });
      } else if (one.do === "release") {
        await thrice(() => release(claim));
        model.release(keys, one.round);
      } else {
        await thrice(() => confirm(claim));
        model.confirm(keys, one.round);
      }
    }
  }
}

it("A shelf does as its model does, whatever happens in whatever order", async () => {
  let steps = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (history) => {
      const id = await product(3);
      const model = new Model(3);
      for (const one of history) {
        await act(id, model, one);
        const found = await stockOf(id);
        const { onHand, reserved, free: available } = model;
        expect(found).toEqual({ onHand, reserved, available });
        expect(available).toBeGreaterThanOrEqual(0);
        steps += 1;
      }
    }),
    { numRuns: 60, endOnFailure: true },
  );
  expect(steps).toBeGreaterThan(1_000);
});
