import type { Whose } from "../../src/contract/realm.ts";
import type { Asker, Reply } from "./reply.ts";

/** `amount` is an integer in the currency's minor unit. */
export interface Money {
  amount: number;
  currency: string;
}

/** A product as everybody sees it. */
export interface Product {
  /** 1 to 64 of `A-Z a-z 0-9 . _ ~ -`; chosen by the shop, and stable. */
  id: string;
  name: string;
  description: string;
  price: Money;
  /** Where the gateway has its picture, for ever the same one: `/api/catalog/pictures/{hash}`; null for none. */
  picture: string | null;
  /** Whether there is any left: a hint, only a reservation knows. */
  available: boolean;
}

export type NewProduct = Pick<Product, "name" | "description" | "price">;

/** What is there of a product, in pieces. */
export interface Stock {
  /** On the shelf, those that are reserved among them. */
  onHand: number;
  reserved: number;
  /** `onHand` less `reserved`; 0 where more was used up than was there. */
  available: number;
}

export interface PageOfProducts {
  products: Product[];
  /** To hand in as `after` for what follows; null at the end. */
  next: string | null;
}

/** What the gateway asks of the catalog, by service binding to its entrypoint `Catalog`. */
export interface CatalogCalls {
  /** @param query `text` is searched for in names and descriptions; `limit` is 1 to 100, 20 by default */
  search(
    asker: Asker,
    query: { text?: string; after?: string; limit?: number },
  ): Promise<Reply<PageOfProducts>>;
  /** Those of the ids that there are, in the order of the ids; at most 100. */
  products(asker: Asker, ids: readonly string[]): Promise<Reply<Product[]>>;
  /** For staff: makes or alters a product. */
  put(asker: Asker, id: string, product: NewProduct): Promise<Reply<Product>>;
  /** For staff: it is no longer sold. What was reserved stays reserved. */
  remove(asker: Asker, id: string): Promise<Reply<null>>;
  /** For staff. */
  stock(asker: Asker, id: string): Promise<Reply<Stock>>;
  /** For staff: what was counted on the shelf; never below what is reserved. */
  setStock(asker: Asker, id: string, onHand: number): Promise<Reply<Stock>>;
  /** For staff: a picture; what it is, its bytes say (PNG, JPEG or WebP, at most 5 MB). */
  putPicture(asker: Asker, id: string, bytes: Uint8Array): Promise<Reply<Product>>;
  /** A picture as HTTP has it: whole, a range of it (`Range`), or 304 (`If-None-Match`); 404. */
  picture(
    asker: Asker,
    hash: string,
    conditions: { range: string | null; ifNoneMatch: string | null },
  ): Promise<Response>;
}

/** One line of an order; its id is the order's own and never changes. */
interface StockLine {
  line: string;
  product: string;
}

/** Whose stock, and for what: `order` is `{workflow}/{id}`. */
export interface StockClaim {
  whose: Whose;
  order: string;
  /**
   * Which time this order reserves: 1, 2 … What comes late of an earlier round changes nothing in a later
   * one, in whatever order messages arrive.
   */
  round: number;
  lines: readonly StockLine[];
}

/** Why a line could not be reserved. */
export interface Shortage extends StockLine {
  why: "sold-out" | "unknown" | "price-changed";
}

/**
 * What orders ask of the catalog, by service binding to its entrypoint `StockRoom`. All of it may be said
 * again: an order's line is reserved once a round, however often it is asked for.
 */
export interface StockCalls {
  /** Names and prices of products; those that there are not are left out. At most 100. */
  look(whose: Whose, ids: readonly string[]): Promise<Reply<Product[]>>;
  /**
   * Reserves one piece a line, all of them or none, until `RESERVED_FOR` has passed. What was refused stays
   * refused in that round; where the round was released, or a later one has begun, no line is named.
   *
   * @param prices what the customer was shown, by product: at another price nothing is reserved; what is left
   *   out is not compared
   */
  reserve(
    claim: StockClaim,
    prices: Readonly<Record<string, Money>>,
  ): Promise<Reply<{ reserved: true } | { reserved: false; shortages: Shortage[] }>>;
  /**
   * The kitchen has accepted: it no longer expires. What has expired already is reserved anew where it can
   * be. Where not all of it can, the rest is kept: use it, and confirm; or release.
   */
  keep(claim: StockClaim): Promise<Reply<{ kept: boolean }>>;
  /** Gives back what this round, and all before it, have reserved; a reservation that comes later is refused. */
  release(claim: StockClaim): Promise<Reply<null>>;
  /** It was used up, whether it was still reserved or not: it leaves the shelf, and the reservation ends. */
  confirm(claim: StockClaim): Promise<Reply<null>>;
}

/** Milliseconds until a reservation that nobody kept returns to the shelf. */
export const RESERVED_FOR = 20 * 60_000;
