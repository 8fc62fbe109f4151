import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { NewProduct } from "../../services/contracts/catalog.ts";
import type { Asker } from "../../services/contracts/reply.ts";
import { matching } from "../../services/catalog/search-text.ts";
import {
  catalog,
  customer,
  freshId,
  price,
  problemOf,
  product,
  staff,
  stranger,
  value,
} from "./service.ts";

const pizza = (name: string, description = ""): NewProduct => ({ name, description, price });

/** A tenant of the test's own, so that it knows all that there is to find. */
function realm() {
  const tenant = `t-${crypto.randomUUID()}`;
  const as = (role: "operator" | "customer"): Asker => ({
    caller: { tenant, subject: "s", roles: [role] },
    authorization: "",
  });
  const [own, reader] = [as("operator"), as("customer")];
  return {
    add: async (id: string, name: string, description = "") =>
      value(await catalog.put(own, id, pizza(name, description))),
    find: async (text: string) =>
      value(await catalog.search(reader, { text })).products.map(({ id }) => id),
    page: async (query: { text?: string; after?: string; limit?: number }) =>
      value(await catalog.search(reader, query)),
    own,
  };
}

describe("a product", () => {
  it("is put, altered, and removed, and all of it may be said again", async () => {
    const id = freshId();
    const made = value(await catalog.put(staff, id, pizza("Mango", "Sweet.")));
    expect(made).toEqual({
      ...{ id, name: "Mango", description: "Sweet.", price, picture: null, available: false },
    });
    expect(value(await catalog.put(staff, id, pizza("Mango", "Sweet.")))).toEqual(made);
    value(await catalog.setStock(staff, id, 2));
    const dearer = { ...pizza("Mango Tango"), price: { amount: 0, currency: "JPY" } };
    const altered = value(await catalog.put(staff, id, dearer));
    expect(altered).toMatchObject({ ...dearer, available: true });
    expect(value(await catalog.products(customer, [id]))).toEqual([altered]);
    for (let times = 0; times < 2; times += 1) value(await catalog.remove(staff, id));
    expect(value(await catalog.products(customer, [id]))).toEqual([]);
    for (const reply of [await catalog.stock(staff, id), await catalog.setStock(staff, id, 5)]) {
      expect(problemOf(reply)).toMatchObject({ status: 404 });
    }
  });

  it("is asked for by its id, with others, in the order of the ids", async () => {
    const ids = [await product(1), await product(0), freshId(), await product(3)];
    const [a, b, , c] = ids;
    const found = value(await catalog.products(customer, [c!, ids[2]!, a!, b!]));
    expect(found.map(({ id, available }) => [id, available])).toEqual([
      [c, true],
      [a, true],
      [b, false],
    ]);
  });

  it("of another tenant is not there, and the same id is another product", async () => {
    const id = await product(4);
    expect(value(await catalog.products(stranger, [id]))).toEqual([]);
    expect(problemOf(await catalog.stock(stranger, id))).toMatchObject({ status: 404 });
    value(await catalog.put(stranger, id, pizza("Theirs")));
    expect(value(await catalog.stock(stranger, id))).toMatchObject({ onHand: 0 });
    value(await catalog.remove(stranger, id));
    expect(value(await catalog.products(customer, [id]))).toHaveLength(1);
    const text = `Pizza ${id}`;
    expect(value(await catalog.search(stranger, { text })).products).toEqual([]);
    expect(value(await catalog.search(customer, { text })).products).toHaveLength(1);
  });

  it("of another jurisdiction is in no row of this one", async () => {
    const id = await product(1);
    const european = { ...staff, caller: { ...staff.caller, jurisdiction: "eu" as const } };
    expect(value(await catalog.products(european, [id]))).toEqual([]);
    expect(value(await catalog.search(european, { text: id })).products).toEqual([]);
    value(await catalog.put(european, id, pizza("European")));
    expect(value(await catalog.products(customer, [id]))[0]!.name).toBe(`Pizza ${id}`);
    const rows = await env.CATALOG_DB.prepare(
      "SELECT jurisdiction, name FROM products WHERE id = ? ORDER BY jurisdiction",
    )
      .bind(id)
      .all();
    expect(rows.results).toEqual([
      { jurisdiction: "", name: `Pizza ${id}` },
      { jurisdiction: "eu", name: "European" },
    ]);
  });
});

describe("whoever is no staff", () => {
  it("alters nothing and sees no stock", async () => {
    const id = await product(4);
    for (const reply of [
      await catalog.put(customer, id, pizza("Mine")),
      await catalog.remove(customer, id),
      await catalog.stock(customer, id),
      await catalog.setStock(customer, id, 1),
      await catalog.putPicture(customer, id, new Uint8Array()),
    ]) {
      expect(problemOf(reply)).toMatchObject({ status: 403 });
    }
    expect(value(await catalog.products(customer, [id]))[0]!.name).toBe(`Pizza ${id}`);
    expect(value(await catalog.stock(staff, id))).toMatchObject({ onHand: 4 });
  });
});

describe("bad input", () => {
  it.each([
    { name: "" },
    { name: "   " },
    { name: "x".repeat(101) },
    { name: "two\nlines" },
    { name: "\uD800" },
    { name: 7 },
    { description: "x".repeat(2_001) },
    { description: "\0" },
    { price: { amount: 1.5, currency: "EUR" } },
    { price: { amount: -1, currency: "EUR" } },
    { price: { amount: 1, currency: "eur" } },
    { price: { amount: 1, currency: "XXZ" } },
    { price: 12 },
    { id: "other" },
  ])("is no product: %j", async (wrong) => {
    const id = freshId();
    const given = { ...pizza("Good"), ...wrong } as NewProduct;
    expect(problemOf(await catalog.put(staff, id, given))).toMatchObject({ status: 422 });
    expect(value(await catalog.products(customer, [id]))).toEqual([]);
  });

  it.each(["", ".", "..", "a b", "a/b", "é", "x".repeat(65)])("is no id: %j", async (id) => {
    for (const reply of [
      await catalog.put(staff, id, pizza("Good")),
      await catalog.remove(staff, id),
      await catalog.setStock(staff, id, 1),
    ]) {
      expect(problemOf(reply)).toMatchObject({ status: 400 });
    }
  });

  it.each([-1, 1.5, Number.NaN, 1_000_001, "7" as unknown as number])(
    "is no count: %j",
    async (onHand) => {
      const id = await product(3);
      expect(problemOf(await catalog.setStock(staff, id, onHand))).toMatchObject({ status: 422 });
      expect(value(await catalog.stock(staff, id))).toMatchObject({ onHand: 3 });
    },
  );

  it.each([
    [{ limit: 0 }, 422],
    [{ limit: 101 }, 422],
    [{ text: "x".repeat(201) }, 422],
    [{ after: "nonsense" }, 400],
    [{ after: btoa("2 x") }, 400],
    [{ after: btoa("0 x' OR 1") }, 400],
  ])("is no query: %j", async (query, status) => {
    expect(problemOf(await catalog.search(customer, query))).toMatchObject({ status });
  });
});

describe("the search", () => {
  it("finds words in names and descriptions, in whatever case, with or without diacritics", async () => {
    const { add, find } = realm();
    await add("a", "Crème Brûlée", "Süß, mit Äpfeln");
    await add("b", "Mango Tango", "Creme obenauf");
    expect(await find("creme")).toEqual(["a", "b"]);
    expect(await find("CRÈME")).toEqual(["a", "b"]);
    expect(await find("Cre\u0300me bru")).toEqual(["a"]);
    expect(await find("apfeln")).toEqual(["a"]);
    expect(await find("äpfeln süß")).toEqual(["a"]);
    expect(await find("tango creme")).toEqual(["b"]);
    expect(await find("banana")).toEqual([]);
  });

  it("takes the last word as a beginning, and the others whole", async () => {
    const { add, find } = realm();
    await add("a", "Banana Curry");
    expect(await find("ban")).toEqual(["a"]);
    expect(await find("banana cur")).toEqual(["a"]);
    expect(await find("ban curry")).toEqual([]);
  });

  it("puts those first whose name has it", async () => {
    const { add, find } = realm();
    await add("a", "Banana", "with mango");
    await add("z", "Mango");
    expect(await find("mango")).toEqual(["z", "a"]);
  });

  it("follows what is altered and removed", async () => {
    const { add, find, own } = realm();
    await add("a", "Banana");
    await add("a", "Papaya", "picante");
    expect(await find("banana")).toEqual([]);
    expect(await find("picante")).toEqual(["a"]);
    value(await catalog.remove(own, "a"));
    expect(await find("papaya")).toEqual([]);
    await env.CATALOG_DB.prepare("INSERT INTO words (words) VALUES ('integrity-check')").run();
  });

  it.each([
    `"`,
    `""`,
    `"mango`,
    `mango"`,
    "mango OR banana",
    "mango AND",
    "NOT mango",
    "NEAR(mango banana)",
    "name : mango",
    "{name description}: mango",
    "^mango",
    "mango*",
    "*",
    "-mango",
    "mango + banana",
    "(",
    "')); DROP TABLE products; --",
    "mango\0banana",
    "\u0300",
    "%",
    "🥭",
    "٣",
  ])("takes nothing that a person types for syntax: %j", async (text) => {
    const { add, page } = realm();
    await add("a", "Mango");
    await add("b", "Banana");
    await page({ text });
    expect((await page({})).products).toHaveLength(2);
  });

  it("reads operators as the words that they are", () => {
    expect(matching(`mango" OR (name:x*)`)).toBe(`"mango" AND "OR" AND "name" AND "x" *`);
    expect(matching("!!!")).toBeNull();
  });

  it.each([undefined, "round"])(
    "gives pages without gaps or repeats while products come and go (%s)",
    async (text) => {
      const { add, page, own } = realm();
      const there = Array.from({ length: 25 }, (_, index) => `m-${String(index).padStart(2, "0")}`);
      await Promise.all(there.map((id, index) => add(id, index % 2 ? "Round" : "Square", "Round")));
      const seen: string[] = [];
      let after: string | undefined;
      for (let number = 0; ; number += 1) {
        const query = { limit: 4, ...(text && { text }), ...(after && { after }) };
        const { products, next } = await page(query);
        expect(await page(query)).toEqual({ products, next });
        seen.push(...products.map(({ id }) => id));
        // Before and behind the place that was come to.
        await add(`a-${number}`, "Round");
        await add(`z-${number}`, "Round");
        const unseen = there.find((id) => !seen.includes(id));
        if (number === 2 && unseen !== undefined) value(await catalog.remove(own, unseen));
        if (next === null) break;
        after = next;
      }
      expect(new Set(seen).size).toBe(seen.length);
      expect(seen.filter((id) => id.startsWith("m-"))).toHaveLength(24);
    },
  );
});
