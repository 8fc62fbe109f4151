import { databaseOf, databasesOf } from "./databases.ts";
import type { Realm, Whose } from "./realm.ts";

type Value = string | number | null;

/** Tables of the list's databases whose rows are somebody's. */
const TABLES = ["instances", "labels", "counts", "dead_letters"] as const;
type Table = (typeof TABLES)[number];

const MENTIONED = /\b(instances|labels|counts|dead_letters|alerts)\b(?!\.)(?:\s+AS\s+(\w+))?/g;

/**
 * The condition that a row of a table is the realm's: every statement of `RealmRows` has it for each table
 * that it names.
 *
 * @param alias what the table is called there, where it isn't called by its name
 */
export function mine(table: Table, alias: string = table): string {
  // There the jurisdiction is part of a key, and a key knows no NULL.
  const jurisdiction = table === "counts" ? "coalesce(?2, '')" : "?2";
  return `${alias}.tenant = ?1 AND ${alias}.jurisdiction IS ${jurisdiction}`;
}

/**
 * One realm's rows of the list and the dead letters. A statement that is not narrowed to the realm is
 * refused before it runs; its own parameters begin at ?3.
 */
export class RealmRows {
  readonly #database: D1Database;
  readonly #whose: Whose;

  private constructor(database: D1Database, whose: Whose) {
    this.#database = database;
    this.#whose = whose;
  }

  /** Null where the deployment has no database. */
  static of(env: unknown, realm: Realm): RealmRows | null {
    return RealmRows.#in(env, realm);
  }

  /** What is too broken to tell whose it is: for administrators. */
  static ofNobody(env: unknown): RealmRows | null {
    return RealmRows.#in(env, { tenant: "" });
  }

  static #in(env: unknown, whose: Whose): RealmRows | null {
    const databases = databasesOf(env);
    if (databases.length === 0) return null;
    return new RealmRows(databaseOf(databases, whose.tenant), whose);
  }

  async all<Row extends object>(statement: string, ...values: Value[]): Promise<Row[]> {
    return (await this.#prepare(statement, values).all<Row>()).results;
  }

  first<Row extends object>(statement: string, ...values: Value[]): Promise<Row | null> {
    return this.#prepare(statement, values).first<Row>();
  }

  /** @returns how many rows were altered */
  async change(statement: string, ...values: Value[]): Promise<number> {
    return (await this.#prepare(statement, values).run()).meta.changes;
  }

  #prepare(statement: string, values: Value[]): D1PreparedStatement {
    checkNarrowed(statement);
    const { tenant, jurisdiction = null } = this.#whose;
    return this.#database.prepare(statement).bind(tenant, jurisdiction, ...values);
  }
}

/** @throws Error naming the table whose rows the statement would read or alter, whoever's they are */
function checkNarrowed(statement: string): void {
  const mentions = [...statement.matchAll(MENTIONED)].map(([, table = "", alias = table]) => ({
    table: table as Table,
    alias,
  }));
  for (const { table, alias } of mentions) {
    const times = mentions.filter((one) => one.alias === alias).length;
    const condition = mine(table, alias);
    if (TABLES.includes(table) && statement.split(condition).length > times) continue;
    throw new Error(
      `"${table}" isn't narrowed to a realm: add \${mine("${table}")} to ${statement}`,
    );
  }
}
