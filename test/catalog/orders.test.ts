import { abortAllDurableObjects } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { RESERVED_FOR } from "../../services/contracts/catalog.ts";
import {
  advance,
  catalog,
  claimOf,
  freshId,
  keep,
  price,
  problemOf,
  product,
  reserve,
  shelfOf,
  staff,
  stockOf,
  stockRoom,
  value,
} from "./service.ts";

const order = () => `orders/${crypto.randomUUID()}`;
const soldOut = (line: string, id: string) => ({ line, product: id, why: "sold-out" });

describe("a reservation of several products that dies half-way", () => {
  const half = (id: string, name: string, line: string) =>
    shelfOf(id).reserve({ order: name, round: 1, lines: [line] }, null);

  it("is whole when it is repeated", async () => {
    const ids = [await product(1), await product(1)] as const;
    const claim = claimOf(order(), 1, ...ids);
    await half(ids[0], claim.order, "l0");
    await abortAllDurableObjects();
    expect(await reserve(claim)).toEqual({ reserved: true });
    for (const id of ids) expect(await stockOf(id)).toMatchObject({ reserved: 1 });
  });

  it("before it has given back what it got gives it back when it is repeated", async () => {
    const [there, gone] = [await product(1), await product(0)];
    const claim = claimOf(order(), 1, there, gone);
    await half(there, claim.order, "l0");
    await half(gone, claim.order, "l1");
    await abortAllDurableObjects();
    // Meanwhile there is one again: it was refused all the same, and so it stays.
    value(await catalog.setStock(staff, gone, 1));
    expect(await reserve(claim)).toEqual({ reserved: false, shortages: [soldOut("l1", gone)] });
    expect(await stockOf(there)).toMatchObject({ reserved: 0 });
    expect(await stockOf(gone)).toMatchObject({ reserved: 0 });
  });

  it("and is never repeated blocks nobody for longer than a hold", async () => {
    const [there, gone] = [await product(1), await product(0)];
    const claim = claimOf(order(), 1, there, gone);
    await half(there, claim.order, "l0");
    advance(RESERVED_FOR);
    expect(await reserve(claimOf(order(), 1, there))).toEqual({ reserved: true });
  });

  it("is as good as its first run that came to an end, however many run at once", async () => {
    for (let times = 0; times < 10; times += 1) {
      const ids = [await product(1), await product(1), await product(1)];
      // Two orders want the same three, in opposite order, each asked for three times over.
      const claims = [claimOf(order(), 1, ...ids), claimOf(order(), 1, ...ids.toReversed())];
      const answers = await Promise.all(
        claims.flatMap((claim) => [reserve(claim), reserve(claim), reserve(claim)]),
      );
      const [one, other] = [answers.slice(0, 3), answers.slice(3)].map((three) => {
        expect(new Set(three.map(({ reserved }) => reserved)).size).toBe(1);
        return three[0]!.reserved;
      });
      expect(one && other).toBe(false);
      for (const id of ids) {
        expect(await stockOf(id)).toMatchObject({ reserved: one || other ? 1 : 0 });
      }
    }
  });
});

describe("a price", () => {
  it("other than what was shown reserves nothing, and names the product; so does none", async () => {
    const [id, other, none] = [await product(5), await product(5), freshId()];
    const claim = claimOf(order(), 1, id, other, none, "no id/at all");
    const shown = { [id]: { amount: 1, currency: "EUR" } };
    const refused = await reserve(claim, shown);
    expect(refused).toEqual({
      reserved: false,
      shortages: [
        { line: "l3", product: "no id/at all", why: "unknown" },
        { line: "l0", product: id, why: "price-changed" },
        { line: "l2", product: none, why: "unknown" },
      ],
    });
    for (const one of [id, other]) expect(await stockOf(one)).toMatchObject({ reserved: 0 });
    // Its round has been decided, whatever is said later.
    expect(await reserve(claim, shown)).toEqual(refused);
    const single = claimOf(order(), 1, id);
    const changed = { reserved: false, shortages: [{ ...single.lines[0], why: "price-changed" }] };
    expect(await reserve(single, shown)).toEqual(changed);
    expect(await reserve(single)).toEqual(changed);
    const dollars = { [id]: { ...price, currency: "USD" } };
    expect(await reserve(claimOf(order(), 1, id), dollars)).toMatchObject({ reserved: false });
  });

  it("that changes once it is reserved changes nothing for who repeats", async () => {
    const [id, other] = [await product(5), await product(5)];
    const claim = claimOf(order(), 1, id, other);
    await reserve(claim);
    const dearer = { name: "Dearer", description: "", price: { ...price, amount: 9_999 } };
    value(await catalog.put(staff, id, dearer));
    expect(await reserve(claim)).toEqual({ reserved: true });
    expect(await reserve(claimOf(order(), 1, id))).toMatchObject({ reserved: false });
    value(await catalog.remove(staff, other));
    expect(await reserve(claim)).toEqual({ reserved: true });
    expect(await keep(claim)).toEqual({ kept: true });
    expect(await reserve(claimOf(order(), 1, other))).toMatchObject({
      shortages: [{ why: "unknown" }],
    });
  });
});

describe("a claim that is none", () => {
  it.each([
    { round: 0 },
    { round: 1.5 },
    { order: "" },
    { order: "o\0" },
    { lines: [{ line: "", product: "x" }] },
    { lines: ["l1", "l1"].map((line) => ({ line, product: "x" })) },
    {
      lines: Array.from({ length: 101 }, (_, index) => ({
        line: `${index}`,
        product: `p${index}`,
      })),
    },
  ])("is refused for good (%#)", async (wrong) => {
    const claim = { ...claimOf(order(), 1, "x"), ...wrong };
    for (const reply of [
      await stockRoom.reserve(claim, {}),
      await stockRoom.keep(claim),
      await stockRoom.release(claim),
      await stockRoom.confirm(claim),
    ]) {
      expect(problemOf(reply)).toMatchObject({ status: 422 });
    }
  });
});
