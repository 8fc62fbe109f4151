import { refusal } from "../../src/contract/problem.ts";
import type { Realm } from "../../src/contract/realm.ts";
import type { NewProduct, Product } from "../contracts/catalog.ts";
import { cursorAt, matching, placeOf } from "./search-text.ts";

/** A product without what only its shelf knows. */
export type Listed = Omit<Product, "available">;

interface Row {
  id: string;
  name: string;
  description: string;
  amount: number;
  currency: string;
  picture: string | null;
}

const COLUMNS = "id, name, description, amount, currency, picture";
/** In every statement: a realm's rows, and no others. */
const MINE = "tenant = ?1 AND jurisdiction = ?2";

/** The products of one realm. */
export class Products {
  readonly #database: D1Database;
  readonly #whose: [tenant: string, jurisdiction: string];

  constructor(database: D1Database, { tenant, jurisdiction }: Realm) {
    this.#database = database;
    this.#whose = [tenant, jurisdiction ?? ""];
  }

  /**
   * A page, in an order that no addition alters: those with the words in their name first, then by id.
   *
   * @throws ProblemError bad-parameter where `after` is no cursor
   */
  async search(
    text: string | undefined,
    after: string | undefined,
    limit: number,
  ): Promise<{ products: Listed[]; next: string | null }> {
    const { rank, id } = after === undefined ? { rank: 0, id: "" } : placeOf(after);
    const words = text === undefined || text.trim() === "" ? undefined : matching(text);
    if (words === null) return { products: [], next: null };
    const statement =
      words === undefined
        ? this.#prepare(
            `SELECT ${COLUMNS}, 0 AS rank FROM products
               WHERE ${MINE} AND id > ?3 ORDER BY id LIMIT ?4`,
            ...[id, limit + 1],
          )
        : this.#prepare(
            `SELECT * FROM (
               SELECT ${COLUMNS},
                      position NOT IN (SELECT rowid FROM words WHERE words MATCH ?6) AS rank
                 FROM products
                WHERE ${MINE} AND position IN (SELECT rowid FROM words WHERE words MATCH ?7))
              WHERE (rank, id) > (?3, ?4) ORDER BY rank, id LIMIT ?5`,
            ...[rank, id, limit + 1],
            `name : (${words})`,
            words,
          );
    const { results } = await statement.all<Row & { rank: number }>();
    const rows = results.slice(0, limit);
    const last = rows.at(-1);
    return {
      products: rows.map(listed),
      next: results.length > limit && last !== undefined ? cursorAt(last) : null,
    };
  }

  /** Those of the ids that there are, in the order of the ids. */
  async withIds(ids: readonly string[]): Promise<Listed[]> {
    const { results } = await this.#prepare(
      `SELECT ${COLUMNS} FROM (SELECT key, value FROM json_each(?3)) CROSS JOIN products
         WHERE ${MINE} AND id = value ORDER BY key`,
      JSON.stringify(ids),
    ).all<Row>();
    return results.map(listed);
  }

  /** @throws ProblemError not-found */
  async one(id: string): Promise<Listed> {
    const [product] = await this.withIds([id]);
    if (product === undefined) throw noSuchProduct();
    return product;
  }

  async put(id: string, { name, description, price }: NewProduct): Promise<Listed> {
    const row = await this.#prepare(
      `INSERT INTO products (tenant, jurisdiction, id, name, description, amount, currency)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (tenant, jurisdiction, id) DO UPDATE SET name = excluded.name,
           description = excluded.description, amount = excluded.amount,
           currency = excluded.currency
         RETURNING ${COLUMNS}`,
      ...[id, name, description, price.amount, price.currency],
    ).first<Row>();
    return listed(row!);
  }

  /** @throws ProblemError not-found */
  async setPicture(id: string, hash: string): Promise<Listed> {
    const row = await this.#prepare(
      `UPDATE products SET picture = ?4 WHERE ${MINE} AND id = ?3 RETURNING ${COLUMNS}`,
      ...[id, hash],
    ).first<Row>();
    if (row === null) throw noSuchProduct();
    return listed(row);
  }

  async remove(id: string): Promise<void> {
    await this.#prepare(`DELETE FROM products WHERE ${MINE} AND id = ?3`, id).run();
  }

  #prepare(statement: string, ...values: (string | number)[]): D1PreparedStatement {
    return this.#database.prepare(statement).bind(...this.#whose, ...values);
  }
}

function noSuchProduct(): Error {
  return refusal("not-found", "There is no such product.");
}

function listed({ id, name, description, amount, currency, picture }: Row): Listed {
  return {
    ...{ id, name, description, price: { amount, currency } },
    picture: picture === null ? null : `/api/catalog/pictures/${picture}`,
  };
}
