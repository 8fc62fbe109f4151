import * as v from "valibot";
import { refusal } from "../../src/contract/problem.ts";

const PRODUCT_ID = /^[A-Za-z0-9._~-]{1,64}$/;

export function isProductId(id: string): boolean {
  return PRODUCT_ID.test(id) && id !== "." && id !== "..";
}

/** @throws ProblemError bad-id */
export function checkProductId(id: string): string {
  if (typeof id === "string" && isProductId(id)) return id;
  throw refusal("bad-id", "A product's id has 1 to 64 of A-Z a-z 0-9 . _ ~ -.", { field: "id" });
}

const currencies = new Set(Intl.supportedValuesOf("currency"));

/** SQLite's texts end at U+0000, and lone surrogates are no text at all. */
const isText = (text: string) => text.isWellFormed() && !text.includes("\0");

const money = v.strictObject({
  amount: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000_000_000)),
  currency: v.pipe(
    v.string(),
    v.check((code) => currencies.has(code), "must be a currency's code as ISO 4217 has it"),
  ),
});

export const newProduct = v.strictObject({
  name: v.pipe(
    v.string(),
    v.trim(),
    v.minLength(1),
    v.maxLength(100),
    v.check((name) => isText(name) && !/\p{Cc}/u.test(name), "must be one line of text"),
  ),
  description: v.pipe(v.string(), v.maxLength(2_000), v.check(isText, "must be text")),
  price: money,
});

export const newStock = v.strictObject({
  onHand: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(1_000_000)),
});

export const search = v.strictObject({
  text: v.optional(v.pipe(v.string(), v.maxLength(200))),
  after: v.optional(v.pipe(v.string(), v.maxLength(400))),
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(100)), 20),
});

/** Ids of products as somebody else has them: those that are none are products that there are not. */
export const productIds = v.pipe(v.array(v.string()), v.maxLength(100));

const short = v.pipe(v.string(), v.minLength(1), v.maxLength(500), v.check(isText, "must be text"));

export const stockClaim = v.pipe(
  v.object({
    whose: v.object({ tenant: v.string(), jurisdiction: v.nullish(v.string()) }),
    order: short,
    round: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    lines: v.pipe(v.array(v.object({ line: short, product: v.string() })), v.maxLength(1_000)),
  }),
  v.check(
    ({ lines }) => new Set(lines.map(({ line }) => line)).size === lines.length,
    "an order has each line once",
  ),
  v.check(
    ({ lines }) => new Set(lines.map(({ product }) => product)).size <= 100,
    "an order has at most 100 products",
  ),
);

export const shownPrices = v.record(v.string(), money);
