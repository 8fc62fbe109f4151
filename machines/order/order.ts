import type { Money, Shortage } from "../../services/contracts/catalog.ts";

/** One pizza of an order: a product of the catalog. Its name and price are the catalog's, once it was asked. */
export interface Item {
  /** Chosen by the customer's client. */
  id: string;
  /** The product's id. */
  pizza: string;
  name: string | null;
  price: Money | null;
}

export type PricedItem = Item & { name: string; price: Money };

/** What the kitchen and the courier are told. */
export interface Ticket {
  items: Item[];
  deliverTo: string | null;
}

/** What the catalog is asked to reserve, at the prices that the items have; `round` counts how often this order has asked. */
export interface Wish {
  round: number;
  items: Item[];
}

export interface OrderContext {
  customer: string | null;
  deliverTo: string | null;
  items: Item[];
  total: Money;
  /** How often the catalog was asked to reserve; 0 for never. */
  round: number;
  /** Confirmed while prices were still on their way. */
  isConfirmed: boolean;
  /** A price has changed after it was confirmed: the next confirmation says the total that it agrees to. */
  mustAgree: boolean;
  status:
    | "ordering"
    | "reserving"
    | "baking"
    | "delivering"
    | "needs attention"
    | "delivered"
    | "cancelled";
  /** Why the order needs attention, was not taken or was cancelled. */
  reason: string | null;
}

export type OrderMessage = {
  type: "order.confirmed" | "order.baked" | "order.failed" | "order.delivered" | "order.cancelled";
  customer: string | null;
  total: Money;
  items: number;
  reason: string | null;
};

/** What the catalog answers to a wish. */
export type Reserved = { reserved: true } | { reserved: false; shortages: Shortage[] };
