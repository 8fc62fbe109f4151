import { WorkerEntrypoint } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { ProblemError, problem, refusal } from "../../src/contract/problem.ts";
import { realmOf, realmOfOwn, type Realm, type Whose } from "../../src/contract/realm.ts";
import { problemResponse } from "../../src/ingress/respond.ts";
import { validate } from "../../src/instance/validate.ts";
import type {
  CatalogCalls,
  Money,
  NewProduct,
  PageOfProducts,
  Product,
  Stock,
  StockCalls,
  StockClaim,
} from "../contracts/catalog.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import { replying } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import type { CatalogEnv } from "./env.ts";
import { keepPicture, showPicture, type Conditions } from "./pictures.ts";
import { Products, type Listed } from "./products.ts";
import { checkProductId, newProduct, newStock, productIds, search } from "./shapes.ts";
import { confirm, keep, release, reserve, shelfOf } from "./stock-room.ts";

export { Shelf } from "./shelf.ts";

const WHERE = "catalog";

/** What the gateway may ask. It has verified who is asking; what they may do is looked at here. */
export class Catalog extends WorkerEntrypoint<CatalogEnv> implements CatalogCalls {
  search(
    { caller }: Asker,
    query: { text?: string; after?: string; limit?: number },
  ): Promise<Reply<PageOfProducts>> {
    return replying(WHERE, async () => {
      const { text, after, limit } = validate(search, query, "");
      const realm = realmOf(caller);
      const page = await new Products(this.env.CATALOG_DB, realm).search(text, after, limit);
      return { products: await withStock(this.env, realm, page.products), next: page.next };
    });
  }

  products({ caller }: Asker, ids: readonly string[]): Promise<Reply<Product[]>> {
    return replying(WHERE, () => productsOf(this.env, realmOf(caller), ids));
  }

  put(asker: Asker, id: string, product: NewProduct): Promise<Reply<Product>> {
    return this.#forStaff(asker, id, async (realm, products) => {
      const listed = await products.put(id, validate(newProduct, product, ""));
      return oneWithStock(this.env, realm, listed);
    });
  }

  remove(asker: Asker, id: string): Promise<Reply<null>> {
    return this.#forStaff(asker, id, async (_, products) => {
      await products.remove(id);
      return null;
    });
  }

  stock(asker: Asker, id: string): Promise<Reply<Stock>> {
    return this.#forStaff(asker, id, async (realm, products) => {
      await products.one(id);
      return shelfOf(this.env, realm, id).stock();
    });
  }

  setStock(asker: Asker, id: string, onHand: number): Promise<Reply<Stock>> {
    return this.#forStaff(asker, id, async (realm, products) => {
      validate(newStock, { onHand }, "");
      await products.one(id);
      const { isSet, stock } = await shelfOf(this.env, realm, id).setStock(onHand);
      if (isSet) return stock;
      const { reserved } = stock;
      throw refusal(
        "operation-not-possible",
        `${onHand} on the shelf would be less than the ${reserved} that are reserved. Count again, or wait until they are used or given back.`,
        { onHand, reserved },
      );
    });
  }

  putPicture(asker: Asker, id: string, bytes: Uint8Array): Promise<Reply<Product>> {
    return this.#forStaff(asker, id, async (realm, products) => {
      await products.one(id);
      // The picture first: a product never shows one that isn't there.
      const hash = await keepPicture(this.env, realm, bytes as Uint8Array<ArrayBuffer>);
      return oneWithStock(this.env, realm, await products.setPicture(id, hash));
    });
  }

  async picture({ caller }: Asker, hash: string, conditions: Conditions): Promise<Response> {
    try {
      return await showPicture(this.env, realmOf(caller), hash, conditions);
    } catch (error) {
      if (error instanceof ProblemError) return problemResponse(error.problem);
      log.error("The catalog could not show a picture", { error });
      const detail = "Something went wrong inside. Try again; the log has the details.";
      return problemResponse(problem("internal", detail));
    }
  }

  #forStaff<Value>(
    { caller }: Asker,
    id: string,
    work: (realm: Realm, products: Products) => Promise<Value>,
  ): Promise<Reply<Value>> {
    return replying(WHERE, async () => {
      requireStaff(caller, "care of the catalog");
      checkProductId(id);
      const realm = realmOf(caller);
      return work(realm, new Products(this.env.CATALOG_DB, realm));
    });
  }
}

/** What the orders' actors may ask, by the orchestrator's binding and no other. */
export class StockRoom extends WorkerEntrypoint<CatalogEnv> implements StockCalls {
  look(whose: Whose, ids: readonly string[]): Promise<Reply<Product[]>> {
    return replying(WHERE, () => productsOf(this.env, realmOfOwn(whose), ids));
  }

  reserve(claim: StockClaim, prices: Readonly<Record<string, Money>>) {
    return replying(WHERE, () => reserve(this.env, claim, prices));
  }

  keep(claim: StockClaim): Promise<Reply<{ kept: boolean }>> {
    return replying(WHERE, () => keep(this.env, claim));
  }

  release(claim: StockClaim): Promise<Reply<null>> {
    return replying(WHERE, async () => {
      await release(this.env, claim);
      return null;
    });
  }

  confirm(claim: StockClaim): Promise<Reply<null>> {
    return replying(WHERE, async () => {
      await confirm(this.env, claim);
      return null;
    });
  }
}

export default {
  /** Nothing is served over HTTP: the Worker has no address of its own. */
  fetch: (): Response => new Response(null, { status: 404 }),
};

async function productsOf(
  env: CatalogEnv,
  realm: Realm,
  ids: readonly string[],
): Promise<Product[]> {
  const wanted = validate(productIds, ids, "ids");
  return withStock(env, realm, await new Products(env.CATALOG_DB, realm).withIds(wanted));
}

/** Asks the shelves side by side whether there is any left. */
function withStock(env: CatalogEnv, realm: Realm, listed: readonly Listed[]): Promise<Product[]> {
  return Promise.all(listed.map((one) => oneWithStock(env, realm, one)));
}

async function oneWithStock(env: CatalogEnv, realm: Realm, listed: Listed): Promise<Product> {
  try {
    const { available } = await shelfOf(env, realm, listed.id).stock();
    return { ...listed, available: available > 0 };
  } catch (error) {
    // A hint alone: a shelf that doesn't answer must not close the shop. Its reservation says how it is.
    log.warn("A shelf did not say what is there", { tenant: realm.tenant, error });
    return { ...listed, available: true };
  }
}
