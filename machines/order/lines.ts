import type { Money, Product, Shortage } from "../../services/contracts/catalog.ts";
import type { OrderEvent } from "./events.ts";
import type { Item, OrderContext, PricedItem } from "./order.ts";

export function isPriced(item: Item): item is PricedItem {
  return item.price !== null;
}

/** The products whose prices are to be asked for, each once. */
export const unpriced = (items: readonly Item[]): string[] => [
  ...new Set(items.filter((item) => !isPriced(item)).map(({ pizza }) => pizza)),
];

/** What orders are added up in. */
const CURRENCY = "EUR";

export const sum = (items: readonly Item[]): Money => ({
  amount: items.reduce((total, item) => total + (item.price?.amount ?? 0), 0),
  currency: CURRENCY,
});

const list = (items: readonly Item[]) =>
  [...new Set(items.map(({ name, pizza }) => name ?? pizza))].join(", ");

/**
 * The items with what the catalog says of them: one price for all pieces of a product. Those that it doesn't
 * have, or has for another currency, are left out, and named.
 *
 * @param said why it is asked, which stays to be read beside what it answers
 */
export function withPrices(
  items: readonly Item[],
  products: readonly Product[],
  said: string | null,
) {
  const known = new Map(products.map((product) => [product.id, product]));
  const isSold = ({ pizza }: Item) => known.get(pizza)?.price.currency === CURRENCY;
  const kept = items.flatMap((item): Item[] => {
    const product = isSold(item) ? known.get(item.pizza) : undefined;
    if (product !== undefined) return [{ ...item, name: product.name, price: product.price }];
    return isPriced(item) ? [item] : [];
  });
  const missing = list(items.filter((item) => !isPriced(item) && !known.has(item.pizza)));
  const foreign = list(
    items.filter((item) => !isPriced(item) && known.has(item.pizza) && !isSold(item)),
  );
  const changed = list(
    items.filter(
      (item) =>
        isPriced(item) && isSold(item) && known.get(item.pizza)?.price.amount !== item.price.amount,
    ),
  );
  const reasons = [
    said,
    missing === "" ? null : `the shop has no ${missing}`,
    foreign === "" ? null : `${foreign} is not sold for ${CURRENCY}`,
    changed === "" ? null : `${changed} has another price now`,
  ].filter((reason) => reason !== null);
  return {
    items: kept,
    total: sum(kept),
    reason: reasons.length === 0 ? null : reasons.join("; "),
    ...(changed === "" ? {} : { mustAgree: true }),
  };
}

/** Whether a confirmation is of the total that there is: asked for after a price has changed. */
export function agrees({ total, mustAgree }: OrderContext, event: OrderEvent): boolean {
  const said = event.type === "CONFIRM_PIZZA" ? event.data.total : undefined;
  if (said === undefined) return !mustAgree;
  return said.amount === total.amount && said.currency === total.currency;
}

/** Whether a confirmation may come before the prices are there: not with a total, nor after a price has changed. */
export function mayBeConfirmedUnseen({ mustAgree }: OrderContext, event: OrderEvent): boolean {
  return !mustAgree && event.type === "CONFIRM_PIZZA" && event.data.total === undefined;
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
  // Where the round was over no line is named: after a rewind, say.
  const reason = [...new Set(reasons)].join(", ") || "nothing could be set aside; try again";
  const mustAgree = shortages.some(({ why }) => why === "price-changed");
  return { items: left, total: sum(left), reason, ...(mustAgree ? { mustAgree } : {}) };
}
