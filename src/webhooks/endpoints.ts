import type { EndpointRequest, WebhookScope } from "../contract/webhooks.ts";

export interface Endpoint {
  id: string;
  url: string;
  /** Null for all. */
  types: readonly string[] | null;
  description: string | null;
  isEnabled: boolean;
  reason: string | null;
  createdAt: number;
}

interface EndpointRow extends Record<string, SqlStorageValue> {
  id: string;
  url: string;
  types: string | null;
  description: string | null;
  enabled: number;
  reason: string | null;
  created_at: number;
}

export const ENDPOINT_SCHEMA = `
  CREATE TABLE IF NOT EXISTS owner (
    one INTEGER PRIMARY KEY, tenant TEXT NOT NULL, jurisdiction TEXT);
  CREATE TABLE IF NOT EXISTS endpoints (
    id TEXT PRIMARY KEY, url TEXT NOT NULL, types TEXT, description TEXT,
    enabled INTEGER NOT NULL, reason TEXT, created_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS secrets (
    position INTEGER PRIMARY KEY, endpoint TEXT NOT NULL, secret TEXT NOT NULL, until INTEGER);
`;

/** A key as it is stored: sealed, or as it was made where nobody has sealed it yet. */
export interface StoredKey {
  position: number;
  endpoint: string;
  stored: string;
}

/** Who is told, and by which keys, which are sealed by whoever hands them in. */
export class EndpointTable {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
  }

  /** Whose they are: an alarm has no caller to say so. */
  owner(): WebhookScope {
    const { tenant, jurisdiction } = this.#sql
      .exec<{ tenant: string; jurisdiction: string | null }>(
        "SELECT tenant, jurisdiction FROM owner",
      )
      .one();
    if (jurisdiction === null) return { tenant };
    return { tenant, jurisdiction: jurisdiction as DurableObjectJurisdiction };
  }

  setOwner({ tenant, jurisdiction = null }: WebhookScope): void {
    this.#sql.exec("INSERT OR IGNORE INTO owner VALUES (1, ?, ?)", tenant, jurisdiction);
  }

  all(): Endpoint[] {
    return this.#read("ORDER BY created_at, id");
  }

  find(id: string): Endpoint | undefined {
    return this.#read("WHERE id = ?", id)[0];
  }

  count(): number {
    return this.#sql.exec<{ n: number }>("SELECT count(*) AS n FROM endpoints").one().n;
  }

  /** @param key sealed */
  add(id: string, { url, types, description }: EndpointRequest, key: string, now: number): void {
    this.#sql.exec(
      "INSERT INTO endpoints VALUES (?, ?, ?, ?, 1, NULL, ?)",
      ...[id, url, types === undefined ? null : JSON.stringify(types), description ?? null, now],
    );
    this.#addKey(id, key);
  }

  remove(id: string): void {
    this.#sql.exec("DELETE FROM endpoints WHERE id = ?", id);
    this.#sql.exec("DELETE FROM secrets WHERE endpoint = ?", id);
  }

  /** @param reason why it is disabled; null enables it */
  setReason(id: string, reason: string | null): void {
    const enabled = reason === null ? 1 : 0;
    this.#sql.exec(
      "UPDATE endpoints SET enabled = ?, reason = ? WHERE id = ?",
      enabled,
      reason,
      id,
    );
  }

  /** A new key, sealed; those there are go on signing until `until`, or until they were to end anyway. */
  rotate(id: string, key: string, until: number): void {
    this.#sql.exec(
      "UPDATE secrets SET until = min(coalesce(until, ?1), ?1) WHERE endpoint = ?2",
      until,
      id,
    );
    this.#addKey(id, key);
  }

  /** The keys that sign now, the newest first. */
  keysOf(id: string, now: number): { stored: string; until: number | null }[] {
    return this.#sql
      .exec<{ stored: string; until: number | null }>(
        `SELECT secret AS stored, until FROM secrets
           WHERE endpoint = ? AND (until IS NULL OR until > ?) ORDER BY position DESC`,
        id,
        now,
      )
      .toArray();
  }

  dropExpiredKeys(now: number): void {
    this.#sql.exec("DELETE FROM secrets WHERE until <= ?", now);
  }

  /** When the next key is to be dropped; Infinity for never. */
  nextExpiry(): number {
    const { at } = this.#sql
      .exec<{ at: number | null }>("SELECT min(until) AS at FROM secrets")
      .one();
    return at ?? Infinity;
  }

  /** Those of all endpoints. */
  allKeys(): StoredKey[] {
    return this.#sql
      .exec<StoredKey & Record<string, SqlStorageValue>>(
        "SELECT position, endpoint, secret AS stored FROM secrets",
      )
      .toArray();
  }

  /** The same key, otherwise sealed. */
  reseal({ position }: StoredKey, sealed: string): void {
    this.#sql.exec("UPDATE secrets SET secret = ? WHERE position = ?", sealed, position);
  }

  #addKey(id: string, key: string): void {
    this.#sql.exec("INSERT INTO secrets (endpoint, secret) VALUES (?, ?)", id, key);
  }

  #read(clause: string, ...parameters: string[]): Endpoint[] {
    const rows = this.#sql.exec<EndpointRow>(`SELECT * FROM endpoints ${clause}`, ...parameters);
    return rows.toArray().map(({ types, enabled, created_at, ...row }) => ({
      ...row,
      types: types === null ? null : (JSON.parse(types) as string[]),
      isEnabled: enabled === 1,
      createdAt: created_at,
    }));
  }
}

/** Whether an endpoint asked for this type: its name, or `order.*` for all that begin so. */
export function takesType({ types }: Endpoint, type: string): boolean {
  if (types === null) return true;
  return types.some((wanted) =>
    wanted.endsWith("*") ? type.startsWith(wanted.slice(0, -1)) : type === wanted,
  );
}
