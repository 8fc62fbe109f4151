import { refusal } from "../../src/contract/problem.ts";
import type { Whose } from "../../src/contract/realm.ts";
import type { Granted } from "./access-token.ts";
import { checkConfirmable, noteRegistration } from "./confirmations.ts";
import { checkPassword, hashPassword, inPlace, isOutdated, isPassword } from "./passwords.ts";
import { addressIn } from "./registrations.ts";
import { beginSession } from "./sessions.ts";
import type { Settings } from "./settings.ts";
import { countLogin, countRegistration } from "./throttle.ts";

/** What a person logs in with. */
export interface Login {
  username: string;
  password: string;
}

/** What a person registers with. */
export interface Registration extends Login {
  /** Where she wants her mail; where registrations are confirmed, at her name. */
  email?: string | undefined;
}

/**
 * The same name however it is typed: `Carla`, `carla`, and what a keyboard composes otherwise.
 *
 * @returns null where no account can have it
 */
export function accountName(username: string): string | null {
  // Once more: in lower case there are letters for what upper case composes (J̌, ǰ).
  const name = username.normalize("NFKC").toLowerCase().normalize("NFKC");
  return /^[^\s\p{C}]{3,200}$/u.test(name) ? name : null;
}

/** @throws ProblemError invalid-body */
function requireName(username: string): string {
  const name = accountName(username);
  if (name !== null) return name;
  const detail = "username: must have 3 to 200 characters, and no spaces among them.";
  throw refusal("invalid-body", detail, { field: "username" });
}

/**
 * Notes a registration, to be confirmed; where registration is open, makes a user at once. If there is one
 * of that name she keeps her password, and neither the answer nor the time that it takes tells.
 *
 * @throws ProblemError invalid-body, too-many-attempts, overloaded, not-configured
 */
export async function register(
  settings: Settings,
  { username, password, email }: Registration,
  address: string,
  now: number,
): Promise<void> {
  const name = requireName(username);
  checkPassword(password);
  const isConfirmed = settings.registration === "mail";
  if (isConfirmed) {
    checkConfirmable(settings, name, email === undefined || accountName(email) === name);
  }
  await inPlace(async () => {
    await countRegistration(settings, address, now);
    const hash = hashPassword(password);
    if (isConfirmed) await noteRegistration(settings, name, hash, now);
    else await addUser(settings, { name, password: hash, email: email ?? null }, now);
  });
}

async function addUser(
  { database, tenant, jurisdiction }: Settings,
  { name, password, email }: { name: string; password: string; email: string | null },
  now: number,
): Promise<void> {
  await database
    .prepare(
      `INSERT OR IGNORE INTO users (id, name, password, tenant, jurisdiction, created_at, email)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .bind(crypto.randomUUID(), name, password, tenant, jurisdiction ?? null, now, email)
    .run();
}

/**
 * Begins a session for who knows the password. An unknown name is answered as a wrong password is, after
 * the same work.
 *
 * @throws ProblemError unauthenticated, too-many-attempts, overloaded
 */
export async function logIn(
  settings: Settings,
  { username, password }: Login,
  address: string,
  now: number,
): Promise<Granted> {
  const name = requireName(username);
  const { database } = settings;
  return inPlace(async () => {
    const attempt = await countLogin(settings, name, address, now);
    const user = await database
      .prepare("SELECT id, password FROM users WHERE name = ?")
      .bind(name)
      .first<{ id: string; password: string }>();
    const isRight = isPassword(password, user?.password);
    if (user === null || !isRight) {
      throw refusal("unauthenticated", "The username or the password is wrong.");
    }
    if (isOutdated(user.password)) {
      await database
        .prepare("UPDATE users SET password = ? WHERE id = ? AND password = ?")
        .bind(hashPassword(password), user.id, user.password)
        .run();
    }
    await attempt.succeeded();
    return beginSession(settings, user.id, now);
  });
}

/** Where a user of a tenant has her mail; null where that isn't known. */
export async function addressOf(
  { database }: Settings,
  { tenant, jurisdiction }: Whose,
  subject: string,
): Promise<string | null> {
  const row = await database
    .prepare(
      `SELECT name, email FROM users
         WHERE id = ? AND tenant = ? AND jurisdiction IS ?`,
    )
    .bind(subject.replace(/^user:/, ""), tenant, jurisdiction ?? null)
    .first<{ name: string; email: string | null }>();
  return row === null ? null : addressIn(row);
}

/** The id of a user by her name; null where the tenant has none. */
export async function userNamed(
  { database }: Settings,
  tenant: string,
  username: string,
): Promise<string | null> {
  const row = await database
    .prepare("SELECT id FROM users WHERE name = ? AND tenant = ?")
    .bind(accountName(username) ?? "", tenant)
    .first<{ id: string }>();
  return row?.id ?? null;
}
