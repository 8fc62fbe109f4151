import { objectIn } from "../../src/contract/objects.ts";
import { realmOfOwn, type Realm } from "../../src/contract/realm.ts";
import { validate } from "../../src/instance/validate.ts";
import type { Money, Shortage, StockClaim } from "../contracts/catalog.ts";
import type { CatalogEnv } from "./env.ts";
import { Products } from "./products.ts";
import type { LineAnswer, ShelfClaim } from "./reservations.ts";
import { isProductId, shownPrices, stockClaim } from "./shapes.ts";
import type { Shelf } from "./shelf.ts";

/** One product's part of a claim. */
interface Part {
  product: string;
  shelf: DurableObjectStub<Shelf>;
  claim: ShelfClaim;
}

/**
 * All of the claim's lines, or none. Each shelf decides for itself, and a refusal stays one for this round:
 * so what repeats this, or comes beside it, gets to the same end, and only where a shelf has refused is
 * anything given back.
 *
 * @throws ProblemError invalid-body, where the claim or the prices are malformed
 */
export async function reserve(
  env: CatalogEnv,
  claim: StockClaim,
  prices: Readonly<Record<string, Money>>,
): Promise<{ reserved: true } | { reserved: false; shortages: Shortage[] }> {
  const { realm, parts, unknown } = partsOf(env, claim);
  const shown = new Map(Object.entries(validate(shownPrices, prices, "prices")));
  const listed = await new Products(env.CATALOG_DB, realm).withIds(
    parts.map(({ product }) => product),
  );
  const known = new Map(listed.map(({ id, price }) => [id, price]));
  const ask = ({ product, shelf, claim: own }: Part, refuse: Shortage["why"] | null) =>
    shelf
      .reserve(own, refuse)
      .then((lines) => lines.map((line): Line => Object.assign(line, { product })));
  const judged = parts.map((part) => ({
    part,
    refuse: whyNot(known.get(part.product), shown.get(part.product)),
  }));
  const wrong = judged.filter(({ refuse }) => refuse !== null);
  const all = (await Promise.all(wrong.map(({ part, refuse }) => ask(part, refuse)))).flat();
  const isReserved = ({ answer }: LineAnswer) => answer === "reserved";
  // What can't become an order keeps no piece from others, not for a moment.
  if (unknown.length === 0 && all.every(isReserved)) {
    const right = judged.filter(({ refuse }) => refuse === null);
    all.push(...(await Promise.all(right.map(({ part }) => ask(part, null)))).flat());
    if (all.every(isReserved)) return { reserved: true };
  }
  await Promise.all(parts.map(({ shelf, claim: own }) => shelf.release(own)));
  const refused = all.flatMap((line): Shortage[] =>
    line.answer === "refused" ? [{ line: line.line, product: line.product, why: line.why }] : [],
  );
  return { reserved: false, shortages: [...unknown, ...refused] };
}

/** @throws ProblemError invalid-body */
export async function keep(env: CatalogEnv, claim: StockClaim): Promise<{ kept: boolean }> {
  const { parts, unknown } = partsOf(env, claim);
  const kept = await Promise.all(parts.map(({ shelf, claim: own }) => shelf.keep(own)));
  return { kept: unknown.length === 0 && kept.every(Boolean) };
}

/** @throws ProblemError invalid-body */
export async function release(env: CatalogEnv, claim: StockClaim): Promise<void> {
  const { parts } = partsOf(env, claim);
  await Promise.all(parts.map(({ shelf, claim: own }) => shelf.release(own)));
}

/** @throws ProblemError invalid-body */
export async function confirm(env: CatalogEnv, claim: StockClaim): Promise<void> {
  const { parts } = partsOf(env, claim);
  await Promise.all(parts.map(({ shelf, claim: own }) => shelf.confirm(own)));
}

export function shelfOf(env: CatalogEnv, realm: Realm, product: string): DurableObjectStub<Shelf> {
  return objectIn(env.SHELVES, realm, product);
}

function whyNot(price: Money | undefined, shown: Money | undefined): Shortage["why"] | null {
  if (price === undefined) return "unknown";
  // What the customer agreed on before is not compared again.
  if (shown === undefined) return null;
  const isSame = price.amount === shown.amount && price.currency === shown.currency;
  return isSame ? null : "price-changed";
}

type Line = LineAnswer & { product: string };

/** The claim by shelves; `unknown` are the lines whose product is none that there could ever be. */
function partsOf(
  env: CatalogEnv,
  claim: StockClaim,
): { realm: Realm; parts: Part[]; unknown: Shortage[] } {
  validate(stockClaim, claim, "claim");
  const realm = realmOfOwn(claim.whose);
  const { order, round } = claim;
  const unknown: Shortage[] = [];
  const linesBy = new Map<string, string[]>();
  for (const { line, product } of claim.lines) {
    if (!isProductId(product)) unknown.push({ line, product, why: "unknown" });
    else linesBy.set(product, [...(linesBy.get(product) ?? []), line]);
  }
  const parts = [...linesBy].map(([product, lines]) => ({
    product,
    shelf: shelfOf(env, realm, product),
    claim: { order, round, lines },
  }));
  return { realm, parts, unknown };
}
