import * as v from "valibot";
import type { Caller } from "../../src/contract/caller.ts";
import { refusal } from "../../src/contract/problem.ts";
import { noteOf } from "./administration.ts";
import { endingSessionsOf } from "./sessions.ts";
import { grants, type Settings } from "./settings.ts";
import { accountName } from "./users.ts";

/** What an administrator makes of somebody: all of her roles, in the place of those that she has. */
export const newRoles = v.strictObject({ roles: grants.roles });

/** A user as an administrator sees her. */
export interface Person {
  username: string;
  /** As tokens and orders name her: `user:{id}`. */
  subject: string;
  roles: string[];
  /** ISO 8601. */
  createdAt: string;
}

interface Row {
  id: string;
  name: string;
  roles: string;
  created_at: number;
}

const READ = "SELECT id, name, roles, created_at FROM users WHERE";

/** @throws ProblemError not-found, also where she is another tenant's */
export async function findPerson(
  { database }: Settings,
  tenant: string,
  username: string,
): Promise<Person> {
  return shown(await rowOf(database, tenant, username));
}

/**
 * Gives somebody other roles. Her next token carries them, at a login or a refresh; where one is taken from
 * her, all her sessions end, so that no door lets her in by it a minute later.
 *
 * @throws ProblemError not-found; operation-not-possible where an administrator would cease to be one
 */
export async function setRoles(
  { database }: Settings,
  by: Caller,
  username: string,
  roles: readonly string[],
  now: number,
): Promise<Person> {
  const { id, name } = await rowOf(database, by.tenant, username);
  const subject = `user:${id}`;
  // A slip, with nobody left who could take it back.
  if (by.subject === subject && !roles.includes("administrator")) {
    const detail = "Nobody takes the role administrator from herself. Ask another administrator.";
    throw refusal("operation-not-possible", detail);
  }
  const kept = [...new Set(roles)];
  const list = JSON.stringify(kept);
  const results = await database.batch<Row>([
    ...endingSessionsOf(database, id, "a role was taken away", now, list),
    noteOf(
      database,
      by,
      now,
      { what: "roles.set", about: { subject, username: name, roles: kept } },
      { query: "SELECT 1 FROM users WHERE id = ? AND roles <> ?", values: [id, list] },
    ),
    database.prepare("UPDATE users SET roles = ? WHERE id = ?").bind(list, id),
    database.prepare(`${READ} id = ?`).bind(id),
  ]);
  return shown(results.at(-1)!.results[0]!);
}

async function rowOf(database: D1Database, tenant: string, username: string): Promise<Row> {
  const name = accountName(username);
  const row =
    name === null
      ? null
      : await database.prepare(`${READ} name = ? AND tenant = ?`).bind(name, tenant).first<Row>();
  if (row === null) throw refusal("not-found", "There is no such user.");
  return row;
}

const shown = ({ id, name, roles, created_at }: Row): Person => ({
  username: name,
  subject: `user:${id}`,
  roles: JSON.parse(roles) as string[],
  createdAt: new Date(created_at).toISOString(),
});
