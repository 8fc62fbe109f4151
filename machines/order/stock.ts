import type { EffectContext } from "durachart/workflow";
import type { Money, StockCalls, StockClaim } from "../../services/contracts/catalog.ts";
import { whoseOf } from "../neighbours.ts";
import { isPriced } from "./lines.ts";
import type { Wish } from "./order.ts";

/** The bindings that orders' effects use. */
export interface OrderEnv {
  /** The catalog's entrypoint `StockRoom`. */
  CATALOG?: StockCalls;
}

type Context = Pick<EffectContext<OrderEnv>, "env" | "instance">;

/** @throws Error where it is not bound: that is mended by a deploy, so it is tried again */
export function catalogOf({ env }: Context): StockCalls {
  if (env.CATALOG !== undefined) return env.CATALOG;
  throw new Error("CATALOG is not bound: add the catalog's entrypoint StockRoom to wrangler.toml.");
}

/** What an order claims of the catalog's stock. */
export function claimOf({ round, items }: Wish, context: Context): StockClaim {
  const { workflow, id } = context.instance;
  return {
    whose: whoseOf(context),
    order: `${workflow}/${id}`,
    round,
    lines: items.map((item) => ({ line: item.id, product: item.pizza })),
  };
}

/** What the customer was shown, by product. */
export function pricesOf({ items }: Wish): Record<string, Money> {
  return Object.fromEntries(items.filter(isPriced).map(({ pizza, price }) => [pizza, price]));
}
