import * as v from "valibot";
import type { Caller } from "../../src/contract/caller.ts";
import { refusal } from "../../src/contract/problem.ts";
import { noteOf } from "./administration.ts";
import { accessToken, type Granted, type Holder } from "./access-token.ts";
import { hashOf, isOneOf, newSecret } from "./secret-text.ts";
import { revocation } from "./sessions.ts";
import { clientId, grants, MOST_LIFETIME, type Settings } from "./settings.ts";

/** Secrets that a client may have at once, while they are rotated. */
const MOST_SECRETS = 5;

/** What an administrator says of a new client; its tenant and jurisdiction are the administrator's own. */
export const newClient = v.strictObject({ id: clientId, ...grants });
export type NewClient = v.InferOutput<typeof newClient>;

/** A client as it is shown: its secrets by their names only, which tell nothing of them. */
export interface Client {
  id: string;
  tenant: string;
  jurisdiction?: string;
  roles: string[];
  scopes: string[];
  /** Seconds that its access tokens live. */
  lifetime: number;
  secrets: { name: string; createdAt: string }[];
}

/** A secret as it is shown once. */
export interface ShownSecret {
  name: string;
  secret: string;
}

const THIS_CLIENT = "SELECT 1 FROM clients WHERE id = ? AND sid = ?";
/** Meanwhile it may have been removed, and another tenant have made one of that id. */
const STILL_THIS = `EXISTS (${THIS_CLIENT})`;

interface Row {
  id: string;
  sid: string;
  tenant: string;
  jurisdiction: string | null;
  roles: string;
  scopes: string;
  lifetime: number;
  /** JSON: hash → when it was made. */
  secrets: string;
}

const READ = `SELECT id, sid, tenant, jurisdiction, roles, scopes, lifetime,
    (SELECT json_group_object(hash, created_at) FROM client_secrets WHERE client = id) AS secrets
  FROM clients`;

/**
 * An access token for a machine (RFC 6749, 4.4), with the client's own tenant and roles.
 *
 * @param scope separated by spaces: some of the client's; all of them by default
 * @throws ProblemError unauthenticated; forbidden where more is asked for than the client has
 */
export async function grantToClient(
  settings: Settings,
  { id, secret, scope }: { id: string; secret: string; scope?: string | undefined },
  now: number,
): Promise<Granted> {
  const client = await findClient(settings, id);
  // An unknown client is compared too.
  if (!isOneOf(secret, client?.hashes ?? [hashOf("")]) || client === null) {
    throw refusal("unauthenticated", "The client or its secret is unknown.");
  }
  const wanted = scope === undefined ? client.holder.scopes : scope.split(" ").filter(Boolean);
  if (!wanted.every((one) => client.holder.scopes.includes(one))) {
    throw refusal("forbidden", `The client ${id} has not all of these scopes.`);
  }
  return accessToken(settings, { ...client.holder, scopes: wanted }, now, client.lifetime);
}

async function findClient(
  settings: Settings,
  id: string,
): Promise<{ holder: Holder; hashes: string[]; lifetime: number } | null> {
  const subject = `client:${id}`;
  const first = settings.clients.find((client) => client.id === id);
  if (first !== undefined) {
    const { tenant, jurisdiction, roles, scopes, lifetime, secretHashes: hashes } = first;
    const sid = sessionOfFirst(tenant);
    return { holder: { subject, sid, tenant, jurisdiction, roles, scopes }, hashes, lifetime };
  }
  const row = await settings.database.prepare(`${READ} WHERE id = ?`).bind(id).first<Row>();
  if (row === null) return null;
  const { sid, tenant, jurisdiction, lifetime } = row;
  const roles = JSON.parse(row.roles) as string[];
  const scopes = JSON.parse(row.scopes) as string[];
  const hashes = Object.keys(JSON.parse(row.secrets) as object);
  return { holder: { subject, sid, tenant, jurisdiction, roles, scopes }, hashes, lifetime };
}

/**
 * A client of AUTH_CLIENTS has no row, so each token is a session of its own; it names the tenant, whose
 * administrators may end it. No other session has a slash in its name, nor has a tenant.
 */
const sessionOfFirst = (tenant: string) => `${tenant}/${crypto.randomUUID()}`;
export const isSessionOfFirst = (tenant: string, sid: string) => sid.startsWith(`${tenant}/`);

/**
 * The session that all tokens of a client name.
 *
 * @throws ProblemError not-found; operation-not-possible where it is one of AUTH_CLIENTS
 */
export async function sessionOfClient(
  { database, clients }: Settings,
  tenant: string,
  id: string,
): Promise<string> {
  if (clients.some((client) => client.id === id && client.tenant === tenant)) {
    const detail = `The tokens of ${id}, a client of AUTH_CLIENTS, are sessions of their own. End one by {"session": its sid}, or all tokens of everybody by withdrawing the keys.`;
    throw refusal("operation-not-possible", detail);
  }
  return (await requireClient(database, tenant, id)).sid;
}

/** @throws ProblemError id-in-use */
export async function addClient(
  settings: Settings,
  by: Caller,
  { id, roles, scopes, lifetime }: NewClient,
  now: number,
): Promise<Client & ShownSecret> {
  const { database } = settings;
  const { tenant, jurisdiction } = by;
  const secret = newSecret();
  const hash = hashOf(secret);
  const name = nameOf(hash);
  const sid = crypto.randomUUID();
  const isOurs = settings.clients.some((client) => client.id === id);
  const [added] = isOurs
    ? []
    : await database.batch([
        database
          .prepare(
            `INSERT OR IGNORE INTO clients
               (id, sid, tenant, jurisdiction, roles, scopes, lifetime, created_at)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          )
          .bind(
            ...[id, sid, tenant, jurisdiction ?? null, JSON.stringify(roles)],
            ...[JSON.stringify(scopes), lifetime, now],
          ),
        database
          .prepare(
            `INSERT INTO client_secrets (client, hash, created_at)
               SELECT id, ?, ? FROM clients WHERE id = ? AND sid = ?`,
          )
          .bind(hash, now, id, sid),
        noteOf(
          database,
          by,
          now,
          { what: "client.added", about: { client: id, roles, scopes, lifetime, secret: name } },
          { query: THIS_CLIENT, values: [id, sid] },
        ),
      ]);
  if (added?.meta.changes !== 1) {
    throw refusal("id-in-use", `There is a client "${id}" already. Give this one another id.`);
  }
  const secrets = [{ name, createdAt: new Date(now).toISOString() }];
  const where = jurisdiction === undefined ? {} : { jurisdiction };
  return { id, tenant, ...where, roles, scopes, lifetime, secrets, name, secret };
}

/** The clients of a tenant, without those of AUTH_CLIENTS. */
export async function listClients({ database }: Settings, tenant: string): Promise<Client[]> {
  const { results } = await database
    .prepare(`${READ} WHERE tenant = ? ORDER BY id LIMIT 1000`)
    .bind(tenant)
    .all<Row>();
  return results.map(({ id, tenant, jurisdiction, roles, scopes, lifetime, secrets }) => ({
    id,
    tenant,
    ...(jurisdiction === null ? {} : { jurisdiction }),
    roles: JSON.parse(roles) as string[],
    scopes: JSON.parse(scopes) as string[],
    lifetime,
    secrets: Object.entries(JSON.parse(secrets) as Record<string, number>).map(([hash, at]) => ({
      name: nameOf(hash),
      createdAt: new Date(at).toISOString(),
    })),
  }));
}

/** One more secret, so that it can be changed without a gap. @throws ProblemError not-found, operation-not-possible */
export async function addSecret(
  { database }: Settings,
  by: Caller,
  id: string,
  now: number,
): Promise<ShownSecret> {
  const secret = newSecret();
  const hash = hashOf(secret);
  const name = nameOf(hash);
  const [added] = await database.batch([
    database
      .prepare(
        `INSERT INTO client_secrets (client, hash, created_at)
           SELECT id, ?1, ?2 FROM clients WHERE id = ?3 AND tenant = ?4
             AND (SELECT count(*) FROM client_secrets WHERE client = ?3) < ?5`,
      )
      .bind(hash, now, id, by.tenant, MOST_SECRETS),
    noteOf(
      database,
      by,
      now,
      { what: "secret.added", about: { client: id, secret: name } },
      { query: "SELECT 1 FROM client_secrets WHERE client = ? AND hash = ?", values: [id, hash] },
    ),
  ]);
  if (added!.meta.changes === 1) return { name, secret };
  await requireClient(database, by.tenant, id);
  throw refusal("operation-not-possible", `${id} has ${MOST_SECRETS} secrets. Remove one first.`);
}

/** @throws ProblemError not-found */
export async function removeSecret(
  { database }: Settings,
  by: Caller,
  id: string,
  name: string,
  now: number,
): Promise<void> {
  const { sid } = await requireClient(database, by.tenant, id);
  const named = `FROM client_secrets WHERE client = ? AND substr(hash, 1, 8) = ? AND ${STILL_THIS}`;
  const [, removed] = await database.batch([
    noteOf(
      database,
      by,
      now,
      { what: "secret.removed", about: { client: id, secret: name } },
      { query: `SELECT 1 ${named}`, values: [id, name, id, sid] },
    ),
    database.prepare(`DELETE ${named}`).bind(id, name, id, sid),
  ]);
  if (removed!.meta.changes === 0) throw refusal("not-found", `${id} has no secret "${name}".`);
}

/** Removes a client; its access tokens are refused within a minute. @throws ProblemError not-found */
export async function removeClient(
  settings: Settings,
  by: Caller,
  id: string,
  now: number,
): Promise<void> {
  const { database } = settings;
  const { sid } = await requireClient(database, by.tenant, id);
  const results = await database.batch([
    noteOf(
      database,
      by,
      now,
      { what: "client.removed", about: { client: id } },
      { query: THIS_CLIENT, values: [id, sid] },
    ),
    revocation(database, sid, MOST_LIFETIME, now),
    database
      .prepare(`DELETE FROM client_secrets WHERE client = ? AND ${STILL_THIS}`)
      .bind(id, id, sid),
    database.prepare("DELETE FROM clients WHERE id = ? AND sid = ?").bind(id, sid),
  ]);
  // Its session was ended in between, and it goes on under another name; or it is gone.
  if (results.at(-1)!.meta.changes === 0) await removeClient(settings, by, id, now);
}

async function requireClient(
  database: D1Database,
  tenant: string,
  id: string,
): Promise<{ sid: string }> {
  const row = await database
    .prepare("SELECT sid FROM clients WHERE id = ? AND tenant = ?")
    .bind(id, tenant)
    .first<{ sid: string }>();
  if (row !== null) return row;
  const detail = `There is no client "${id}" that could be changed here; those of AUTH_CLIENTS are in the settings.`;
  throw refusal("not-found", detail);
}

/** Its hash's beginning: enough to tell five secrets apart. */
const nameOf = (hash: string) => hash.slice(0, 8);
