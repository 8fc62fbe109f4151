import { env, exports } from "cloudflare:workers";
import { afterEach, vi } from "vitest";
import type {
  CatalogCalls,
  Money,
  StockCalls,
  StockClaim,
} from "../../services/contracts/catalog.ts";
import type { Asker, Reply } from "../../services/contracts/reply.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { realmOfOwn } from "../../src/contract/realm.ts";
import { ProblemError } from "../../src/contract/problem.ts";

/** The service as the gateway and the orders' actors call it: by RPC. */
const entrypoints = exports as unknown as { Catalog: CatalogCalls; StockRoom: StockCalls };
export const { Catalog: catalog, StockRoom: stockRoom } = entrypoints;

const asker = (roles: Caller["roles"], tenant: string): Asker => ({
  caller: { tenant, subject: "olga", roles },
  authorization: "",
});
export const staff = asker(["operator"], "tropical");
export const customer = asker(["customer"], "tropical");
export const stranger = asker(["operator"], "elsewhere");

const whose = { tenant: "tropical" };
export const price: Money = { amount: 1_190, currency: "EUR" };

/** @throws ProblemError */
export function value<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  throw new ProblemError(reply.problem);
}

/** Asserts that a reply is a problem, and gives it. */
export function problemOf(reply: Reply<unknown>) {
  if (reply.ok) throw new Error(`It was granted: ${JSON.stringify(reply.value)}`);
  return reply.problem;
}

let counter = 0;
export const freshId = () => `p-${(counter += 1)}-${crypto.randomUUID().slice(0, 8)}`;

/** A product with so many on its shelf. @returns its id */
export async function product(onHand: number): Promise<string> {
  const id = freshId();
  value(await catalog.put(staff, id, { name: `Pizza ${id}`, description: "Round.", price }));
  value(await catalog.setStock(staff, id, onHand));
  return id;
}

export const stockOf = async (id: string) => value(await catalog.stock(staff, id));
export const shelfOf = (id: string) => objectIn(env.SHELVES, realmOfOwn(whose), id);

/** A claim of an order, a line a product. */
export const claimOf = (order: string, round: number, ...products: string[]): StockClaim => ({
  ...{ whose, order, round },
  lines: products.map((id, index) => ({ line: `l${index}`, product: id })),
});

/** Reserves at the price that all products of these tests have, unless it is said otherwise. */
export const reserve = async (claim: StockClaim, shown: Record<string, Money> = {}) =>
  value(
    await stockRoom.reserve(claim, {
      ...Object.fromEntries(claim.lines.map((line) => [line.product, price])),
      ...shown,
    }),
  );
export const keep = async (claim: StockClaim) => value(await stockRoom.keep(claim));
export const release = async (claim: StockClaim) => value(await stockRoom.release(claim));
export const confirm = async (claim: StockClaim) => value(await stockRoom.confirm(claim));

/** Moves the clock of the test and of the objects; alarms ring when they are told to. */
export function advance(milliseconds: number): void {
  const now = Date.now();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(now + milliseconds);
}
afterEach(() => vi.useRealTimers());
