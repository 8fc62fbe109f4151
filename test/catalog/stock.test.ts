import {
  abortAllDurableObjects,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
} from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import { RESERVED_FOR } from "../../services/contracts/catalog.ts";
import { REMEMBERED } from "../../services/catalog/reservations.ts";
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

const order = () => `orders/${crypto.randomUUID()}`;
const soldOut = (line: string, id: string) => ({ line, product: id, why: "sold-out" });
const over = { reserved: false, shortages: [] };

describe("a hundred buyers at once", () => {
  it.each(Array.from({ length: 20 }, (_, index) => [index + 1]))(
    "of the last ten get exactly ten, each asking twice (run %i)",
    async () => {
      const id = await product(10);
      const answers = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const claim = claimOf(order(), 1, id);
          const [first, second] = await Promise.all([reserve(claim), reserve(claim)]);
          expect(second).toEqual(first);
          return { claim, ...first };
        }),
      );
      const winners = answers.filter(({ reserved }) => reserved);
      expect(winners).toHaveLength(10);
      expect(await stockOf(id)).toEqual({ onHand: 10, reserved: 10, available: 0 });
      const kept = await Promise.all(winners.map(({ claim }) => keep(claim)));
      expect(kept.every((one) => one.kept)).toBe(true);
      await Promise.all(winners.flatMap(({ claim }) => [confirm(claim), confirm(claim)]));
      expect(await stockOf(id)).toEqual({ onHand: 0, reserved: 0, available: 0 });
    },
  );

  it("of two products of which one is short leave the rest of the other", async () => {
    const [few, many] = [await product(3), await product(50)];
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => reserve(claimOf(order(), 1, few, many))),
    );
    expect(answers.filter(({ reserved }) => reserved)).toHaveLength(3);
    expect(await stockOf(few)).toMatchObject({ reserved: 3, available: 0 });
    expect(await stockOf(many)).toMatchObject({ reserved: 3, available: 47 });
  });
});

describe("a reservation", () => {
  it("is one a line, however often it is asked for; two lines are two pieces", async () => {
    const id = await product(3);
    const claim = claimOf(order(), 1, id, id);
    for (let times = 0; times < 3; times += 1) {
      expect(await reserve(claim)).toEqual({ reserved: true });
    }
    expect(await stockOf(id)).toEqual({ onHand: 3, reserved: 2, available: 1 });
  });

  it("of more than there is takes nothing, and stays refused in its round", async () => {
    const [short, other] = [await product(1), await product(5)];
    const claim = claimOf(order(), 1, other, short, short);
    const refused = { reserved: false, shortages: [soldOut("l2", short)] };
    expect(await reserve(claim)).toEqual(refused);
    expect(await stockOf(short)).toMatchObject({ reserved: 0, available: 1 });
    expect(await stockOf(other)).toMatchObject({ reserved: 0, available: 5 });
    value(await catalog.setStock(staff, short, 9));
    expect(await reserve(claim)).toEqual(refused);
    expect(await stockOf(other)).toMatchObject({ reserved: 0 });
    expect(await reserve({ ...claim, round: 2 })).toEqual({ reserved: true });
    expect(await stockOf(short)).toMatchObject({ reserved: 2 });
  });

  it("expires by alarm, and the piece is sold again", async () => {
    const id = await product(1);
    const claim = claimOf(order(), 1, id);
    await reserve(claim);
    const before = await runInDurableObject(shelfOf(id), (_, { storage }) => storage.getAlarm());
    expect(before).toBeGreaterThan(Date.now() + RESERVED_FOR - 60_000);
    expect(before).toBeLessThanOrEqual(Date.now() + RESERVED_FOR);
    advance(RESERVED_FOR - 1_000);
    await runDurableObjectAlarm(shelfOf(id));
    const states = () =>
      runInDurableObject(shelfOf(id), (_, { storage }) =>
        storage.sql.exec("SELECT state FROM reservations").toArray(),
      );
    expect(await states()).toEqual([{ state: "held" }]);
    advance(2_000);
    expect(await runDurableObjectAlarm(shelfOf(id))).toBe(true);
    expect(await states()).toEqual([{ state: "expired" }]);
    expect(await reserve(claimOf(order(), 1, id))).toEqual({ reserved: true });
    expect(await keep(claim)).toEqual({ kept: false });
  });

  it("expires by an alarm that rings by itself", async () => {
    const id = await product(1);
    // Reserved twenty minutes ago, less a moment.
    advance(100 - RESERVED_FOR);
    await reserve(claimOf(order(), 1, id));
    vi.useRealTimers();
    await vi.waitFor(
      async () => {
        const look = await runInDurableObject(shelfOf(id), (_, { storage }) =>
          storage.sql.exec("SELECT state FROM reservations").one(),
        );
        expect(look).toEqual({ state: "expired" });
      },
      { timeout: 20_000, interval: 50 },
    );
  });

  it("expires though its alarm has come to nothing: another one follows", async () => {
    const id = await product(1);
    await reserve(claimOf(order(), 1, id));
    advance(RESERVED_FOR);
    const rename = (from: string, to: string) =>
      runInDurableObject(shelfOf(id), (_, { storage }) => {
        storage.sql.exec(`ALTER TABLE ${from} RENAME TO ${to}`);
        return storage.getAlarm();
      });
    await rename("reservations", "away");
    await runDurableObjectAlarm(shelfOf(id));
    expect(await rename("away", "reservations")).toBeGreaterThan(Date.now());
    expect(await runDurableObjectAlarm(shelfOf(id))).toBe(true);
    expect(await stockOf(id)).toMatchObject({ reserved: 0 });
  });

  it("expires without its alarm, too: a late one blocks no sale", async () => {
    const id = await product(1);
    const claim = claimOf(order(), 1, id);
    await reserve(claim);
    advance(RESERVED_FOR);
    expect(await stockOf(id)).toMatchObject({ available: 1 });
    // Asked for again in the same round it is tried anew.
    expect(await reserve(claim)).toEqual({ reserved: true });
    advance(RESERVED_FOR);
    expect(await reserve(claimOf(order(), 1, id))).toEqual({ reserved: true });
    expect(await reserve(claim)).toEqual({ reserved: false, shortages: [soldOut("l0", id)] });
  });

  it("that was kept is for ever; one that expired is kept where there is one left", async () => {
    const id = await product(2);
    const [early, late] = [claimOf(order(), 1, id), claimOf(order(), 1, id)];
    await reserve(early);
    await keep(early);
    await reserve(late);
    advance(365 * 86_400_000);
    await runDurableObjectAlarm(shelfOf(id));
    expect(await stockOf(id)).toMatchObject({ reserved: 1, available: 1 });
    expect(await keep(late)).toEqual({ kept: true });
    expect(await keep(late)).toEqual({ kept: true });
    expect(await stockOf(id)).toMatchObject({ reserved: 2, available: 0 });
    expect(await keep(claimOf(order(), 1, id))).toEqual({ kept: false });
  });

  it("of several of which not all can be kept keeps the rest", async () => {
    const [gone, there] = [await product(1), await product(1)];
    const claim = claimOf(order(), 1, gone, there);
    await reserve(claim);
    advance(RESERVED_FOR);
    await reserve(claimOf(order(), 1, gone));
    expect(await keep(claim)).toEqual({ kept: false });
    expect(await stockOf(there)).toMatchObject({ reserved: 1 });
    await release(claim);
    expect(await stockOf(there)).toMatchObject({ reserved: 0, available: 1 });
  });

  it("survives the object's eviction and abortion, and so does its alarm", async () => {
    const id = await product(2);
    const claim = claimOf(order(), 1, id);
    await reserve(claim);
    await evictDurableObject(shelfOf(id));
    expect(await reserve(claim)).toEqual({ reserved: true });
    await abortAllDurableObjects();
    expect(await stockOf(id)).toMatchObject({ reserved: 1 });
    // Even an alarm that was lost is there again at the next waking.
    await runInDurableObject(shelfOf(id), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(shelfOf(id));
    const alarm = await runInDurableObject(shelfOf(id), (_, { storage }) => storage.getAlarm());
    expect(alarm).toBeLessThanOrEqual(Date.now() + RESERVED_FOR);
    advance(RESERVED_FOR + 1);
    expect(await stockOf(id)).toMatchObject({ reserved: 0 });
    expect(await runDurableObjectAlarm(shelfOf(id))).toBe(true);
  });
});

describe("rounds", () => {
  it("that are over change nothing in a later one", async () => {
    const id = await product(5);
    const [first, second] = [claimOf("orders/late", 1, id), claimOf("orders/late", 2, id)];
    await reserve(first);
    await release(first);
    expect(await reserve(first)).toEqual(over);
    expect(await keep(first)).toEqual({ kept: false });
    expect(await stockOf(id)).toMatchObject({ reserved: 0 });
    expect(await reserve(second)).toEqual({ reserved: true });
    await release(first);
    await confirm(first);
    expect(await reserve(first)).toEqual(over);
    expect(await keep(first)).toEqual({ kept: false });
    expect(await stockOf(id)).toEqual({ onHand: 5, reserved: 1, available: 4 });
    expect(await keep(second)).toEqual({ kept: true });
  });

  it("that come before the release of the one before take its piece over", async () => {
    const id = await product(1);
    const [first, second] = [claimOf(order(), 1, id), 2];
    await reserve(first);
    expect(await reserve({ ...first, round: second })).toEqual({ reserved: true });
    await release(first);
    expect(await stockOf(id)).toEqual({ onHand: 1, reserved: 1, available: 0 });
  });

  it("that were released before they were reserved stay so", async () => {
    const id = await product(5);
    const claim = claimOf(order(), 3, id);
    await release(claim);
    for (const round of [1, 2, 3]) expect(await reserve({ ...claim, round })).toEqual(over);
    expect(await stockOf(id)).toMatchObject({ reserved: 0 });
    expect(await reserve({ ...claim, round: 4 })).toEqual({ reserved: true });
  });

  it("end with what was used up; the next one needs another piece", async () => {
    const id = await product(2);
    const claim = claimOf(order(), 1, id);
    await reserve(claim);
    await confirm(claim);
    await release(claim);
    expect(await reserve(claim)).toEqual({ reserved: true });
    expect(await keep(claim)).toEqual({ kept: true });
    expect(await stockOf(id)).toEqual({ onHand: 1, reserved: 0, available: 1 });
    expect(await reserve({ ...claim, round: 2 })).toEqual({ reserved: true });
    expect(await stockOf(id)).toEqual({ onHand: 1, reserved: 1, available: 0 });
  });

  it("are forgotten after sixty days, a hundred at a time", async () => {
    const id = await product(1);
    const lines = Array.from({ length: 250 }, (_, index) => ({ line: `l${index}`, product: id }));
    await release({ whose: { tenant: "tropical" }, order: order(), round: 1, lines });
    const left = () =>
      runInDurableObject(shelfOf(id), (_, { storage }) =>
        storage.sql.exec("SELECT count(*) AS rows FROM reservations").one(),
      );
    advance(REMEMBERED - 60_000);
    await runDurableObjectAlarm(shelfOf(id));
    expect(await left()).toEqual({ rows: 250 });
    advance(120_000);
    const found = [];
    for (let times = 0; times < 3; times += 1) {
      expect(await runDurableObjectAlarm(shelfOf(id))).toBe(true);
      found.push((await left())["rows"]);
    }
    expect(found).toEqual([150, 50, 0]);
    expect(await runDurableObjectAlarm(shelfOf(id))).toBe(false);
  });
});

describe("what was used up", () => {
  it("counts once, though it was given back or has expired; never below nothing", async () => {
    const id = await product(2);
    const [released, expired] = [claimOf(order(), 1, id), claimOf(order(), 1, id)];
    await reserve(released);
    await release(released);
    await reserve(expired);
    advance(RESERVED_FOR);
    for (const claim of [released, released, expired, expired]) await confirm(claim);
    expect(await stockOf(id)).toEqual({ onHand: 0, reserved: 0, available: 0 });
    await confirm(claimOf(order(), 1, id));
    expect(await stockOf(id)).toEqual({ onHand: 0, reserved: 0, available: 0 });
  });

  it("of what others have reserved leaves them their right, and nothing free", async () => {
    const id = await product(1);
    await reserve(claimOf(order(), 1, id));
    await confirm(claimOf(order(), 1, id));
    expect(await stockOf(id)).toEqual({ onHand: 0, reserved: 1, available: 0 });
  });
});

describe("stock that is counted", () => {
  it("is never below what is reserved", async () => {
    const id = await product(5);
    await reserve(claimOf(order(), 1, id, id, id));
    const refused = problemOf(await catalog.setStock(staff, id, 2));
    expect(refused).toMatchObject({ status: 409, onHand: 2, reserved: 3 });
    expect(await stockOf(id)).toEqual({ onHand: 5, reserved: 3, available: 2 });
    expect(value(await catalog.setStock(staff, id, 3))).toMatchObject({ available: 0 });
  });
});
