import { orderMachine } from "../../machines/order/machine.ts";
import type { Item, Reserved } from "../../machines/order/order.ts";
import { Driver } from "./drive.ts";

/** What can happen to an order, told in a word. */
export type Move = string | { type: string; data: unknown };
export const add = (id: string): Move => ({
  type: "ADD_PIZZA",
  data: { id, pizza: "mango-tango" },
});
export const remove = (id: string): Move => ({ type: "REMOVE_PIZZA", data: { id } });
export const failed = { type: "PIZZA_FAILED", data: { reason: "cold oven" } };
export const lost = { type: "DELIVERY_FAILED", data: { reason: "flat tyre" } };

/** Pseudo-moves: what isn't an event from outside. */
export const ACTOR_DONE = "(actor done)";
/** The catalog's answers. */
export const PRICED = "(priced)";
export const UNKNOWN = "(not in the catalog)";
export const RESERVED = "(reserved)";
export const SOLD_OUT = "(sold out)";
export const DEARER = "(dearer)";
/** Confirms the total that there is. */
export const AGREE = "(agree)";
export const ACTOR_FAILED = "(actor failed)";
export const TIME_PASSES = "(time passes)";

export const error = { error: { name: "Error", message: "no" } };

const mangoTango = {
  ...{ id: "mango-tango", name: "Mango Tango", description: "", picture: null, available: true },
  price: { amount: 1190, currency: "EUR" },
};

export const linesOf = (order: Driver) => order.context["items"] as Item[];

/** The catalog refuses the first line. */
function refusedBecause(order: Driver, move: string): Reserved {
  const [first] = linesOf(order);
  const why = move === SOLD_OUT ? "sold-out" : "price-changed";
  return { reserved: false, shortages: [{ line: first!.id, product: first!.pizza, why }] };
}

export function make(order: Driver, move: Move): boolean {
  const asked = order.running[0]?.id ?? "";
  const isAboutPrices = asked === "lookUpProducts";
  const isAboutStock = asked.startsWith("reserveStock");
  if (move === PRICED) return isAboutPrices && order.settle({ output: [mangoTango] });
  if (move === UNKNOWN) return isAboutPrices && order.settle({ output: [] });
  if (move === RESERVED) return isAboutStock && order.settle({ output: { reserved: true } });
  if (move === SOLD_OUT || move === DEARER) {
    return isAboutStock && order.settle({ output: refusedBecause(order, move) });
  }
  if (move === ACTOR_DONE) return !isAboutPrices && !isAboutStock && order.settle({ output: null });
  if (move === ACTOR_FAILED) return order.settle(error);
  if (move === TIME_PASSES) return order.fireNextTimer();
  if (move === AGREE) return order.send("CONFIRM_PIZZA", { total: order.context["total"] });
  if (typeof move === "string") return order.send(move, {});
  return order.send(move.type, move.data);
}

export function orderAfter(moves: readonly Move[]): Driver {
  const order = new Driver(orderMachine);
  for (const move of moves) {
    if (!make(order, move)) throw new Error(`${JSON.stringify(move)} was not taken`);
  }
  return order;
}
