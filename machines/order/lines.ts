import type { Money, Product, Shortage } from "../../services/contracts/catalog.ts";
import type { Item, PricedItem } from "./order.ts";

export function isPriced(item: Item): item is PricedItem {
  return item.price !== null;
}

/** The products whose prices are to be asked for, each once. */
export const unpriced = (items: readonly Item[]): string[] => [
  ...new Set(items.filter((item) => !isPriced(item)).map(({ pizza }) => pizza)),
];

export const sum = (items: readonly Item[]): Money => ({
  amount: items.reduce((total, item) => total + (item.price?.amount ?? 0), 0),
  currency: "EUR",
});

/** The items with what the catalog says of them; those that it doesn't have are left out, and named. */
export function withPrices(items: readonly Item[], products: readonly Product[]) {
  const known = new Map(products.map((product) => [product.id, product]));
  const kept = items.flatMap((item): Item[] => {
    if (isPriced(item)) return [item];
    const product = known.get(item.pizza);
    return product === undefined ? [] : [{ ...item, name: product.name, price: product.price }];
  });
  const missing = items.filter((item) => !isPriced(item) && !known.has(item.pizza));
  const names = [...new Set(missing.map(({ pizza }) => pizza))].join(", ");
  const reason = names === "" ? null : `the shop has no ${names}`;
  return { items: kept, total: sum(kept), reason };
}

/** The items after the catalog has refused some: another price is asked for anew, what is gone stays to be removed. */
export function withShortages(items: readonly Item[], shortages: readonly Shortage[]) {
  const why = new Map(shortages.map((shortage) => [shortage.line, shortage.why]));
  const left = items.map((item): Item => {
    return why.get(item.id) === "price-changed" ? { ...item, name: null, price: null } : item;
  });
  const said = {
    "sold-out": "is sold out",
    unknown: "is no longer sold",
    "price-changed": "has another price now",
  };
  const reasons = items.flatMap((item) => {
    const cause = why.get(item.id);
    return cause === undefined ? [] : [`${item.name ?? item.pizza} ${said[cause]}`];
  });
  return { items: left, total: sum(left), reason: [...new Set(reasons)].join(", ") };
}
