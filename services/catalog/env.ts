import type { Shelf } from "./shelf.ts";

/** The catalog's bindings; PICTURES and its like are reached by src/contract/buckets.ts. */
export interface CatalogEnv {
  CATALOG_DB: D1Database;
  SHELVES: DurableObjectNamespace<Shelf>;
}
