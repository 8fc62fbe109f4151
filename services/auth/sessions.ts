import { createHmac } from "node:crypto";
import type { Caller } from "../../src/contract/caller.ts";
import { log } from "../../src/contract/log.ts";
import { refusal } from "../../src/contract/problem.ts";
import { noteOf } from "./administration.ts";
import { accessToken, type Granted } from "./access-token.ts";
import { hashOf, newSecret } from "./secret-text.ts";
import { ACCESS_LIFETIME, MOST_LIFETIME, type Settings } from "./settings.ts";

/** Milliseconds that a refresh token lasts unused. */
const REFRESH_LASTS = 14 * 24 * 3_600_000;
/** Milliseconds after which a session ends, however often it is refreshed. */
const SESSION_LASTS = 90 * 24 * 3_600_000;
/** Milliseconds in which a refresh may be repeated by who never got its answer. */
const REPEATABLE = 10_000;
/** Milliseconds that a revocation is told beyond the end of the last token: clocks differ. */
const SLACK = 60_000;

interface User {
  id: string;
  tenant: string;
  jurisdiction: string | null;
  /** JSON: a list. */
  roles: string;
}

const subjectOf = ({ id }: Pick<User, "id">) => `user:${id}`;

/**
 * Begins a session: an access token, and a refresh token that is the first of its family.
 *
 * @param id the user's
 */
export async function beginSession(settings: Settings, id: string, now: number): Promise<Granted> {
  const { database } = settings;
  const sid = crypto.randomUUID();
  const token = newSecret();
  // Her roles as they are with the session there: whoever takes one away later ends this session, too.
  const [, , found] = await database.batch<User>([
    database
      .prepare(
        "INSERT INTO sessions (sid, user, created_at, refreshed_at, ends_at) VALUES (?, ?, ?, ?, ?)",
      )
      .bind(sid, id, now, now, now + SESSION_LASTS),
    database
      .prepare("INSERT INTO refresh_tokens (hash, sid, ends_at) VALUES (?, ?, ?)")
      .bind(hashOf(token), sid, now + REFRESH_LASTS),
    database.prepare("SELECT id, tenant, jurisdiction, roles FROM users WHERE id = ?").bind(id),
  ]);
  const granted = await accessToken(settings, holder(found!.results[0]!, sid), now);
  return { ...granted, refresh_token: token };
}

interface Kept extends User {
  sid: string;
  token_ends_at: number;
  session_ends_at: number;
  used_at: number | null;
  nonce: string | null;
  revoked_at: number | null;
}

/**
 * Gives the next tokens of a session. A refresh token is used once. The next one is derived from it, from
 * AUTH_SECRET and from 256 random bits that are kept with the used one: so a repeat within ten seconds,
 * by who never got the answer, gets the very same next token, and there is never a second line of them.
 * A used token that comes later, or whose successor was used, is known to somebody else too: the whole
 * session ends.
 *
 * @throws ProblemError unauthenticated
 */
export async function refreshSession(
  settings: Settings,
  token: string,
  now: number,
): Promise<Granted> {
  let kept = await readToken(settings, token);
  if (kept === null || !isLive(kept, now)) throw refused();
  if (kept.used_at === null) {
    const nonce = newSecret();
    const { database } = settings;
    const hash = hashOf(token);
    // Both or neither. Who loses the race finds the winner's nonce, and so the same next token.
    await database.batch([
      database
        .prepare(
          `UPDATE refresh_tokens SET used_at = ?1, nonce = ?2 WHERE hash = ?3 AND used_at IS NULL
             AND EXISTS (SELECT 1 FROM sessions WHERE sid = ?4 AND revoked_at IS NULL)`,
        )
        .bind(now, nonce, hash, kept.sid),
      database
        .prepare(
          `INSERT INTO refresh_tokens (hash, sid, ends_at)
             SELECT ?1, sid, ?2 FROM refresh_tokens WHERE hash = ?3 AND nonce = ?4`,
        )
        .bind(hashOf(successor(settings, token, nonce)), now + REFRESH_LASTS, hash, nonce),
      database
        .prepare(
          `UPDATE sessions SET refreshed_at = max(refreshed_at, ?1) WHERE sid = ?2
             AND EXISTS (SELECT 1 FROM refresh_tokens WHERE hash = ?3 AND nonce = ?4)`,
        )
        .bind(now, kept.sid, hash, nonce),
    ]);
    kept = await readToken(settings, token);
    if (kept === null || !isLive(kept, now)) throw refused();
  }
  const next = await repeatable(settings, token, kept, now);
  if (next === null) {
    await endSession(settings, kept.sid, "a refresh token was used again", now);
    log.warn("A refresh token was used again; its session is ended", {
      tenant: kept.tenant,
      subject: subjectOf(kept),
      sid: kept.sid,
    });
    throw refused();
  }
  const granted = await accessToken(settings, holder(kept, kept.sid), now);
  return { ...granted, refresh_token: next };
}

/** The next token, where this one was used just now and the next one wasn't. */
async function repeatable(
  settings: Settings,
  token: string,
  { used_at, nonce }: Kept,
  now: number,
): Promise<string | null> {
  if (used_at === null || nonce === null || now - used_at > REPEATABLE) return null;
  const next = successor(settings, token, nonce);
  const after = await readToken(settings, next);
  return after !== null && after.used_at === null ? next : null;
}

function successor(settings: Settings, token: string, nonce: string): string {
  return createHmac("sha256", settings.derive("refresh tokens"))
    .update(`${nonce} ${token}`)
    .digest("base64url");
}

/** Ends the session of a refresh token; one that is unknown has none. */
export async function logOut(settings: Settings, token: string, now: number): Promise<void> {
  const kept = await readToken(settings, token);
  if (kept !== null) await endSession(settings, kept.sid, "logged out", now);
}

function readToken({ database }: Settings, token: string): Promise<Kept | null> {
  return database
    .prepare(
      `SELECT users.id, users.tenant, users.jurisdiction, users.roles, sessions.sid, sessions.revoked_at,
              sessions.ends_at AS session_ends_at, refresh_tokens.ends_at AS token_ends_at,
              refresh_tokens.used_at, refresh_tokens.nonce
         FROM refresh_tokens JOIN sessions USING (sid) JOIN users ON users.id = sessions.user
        WHERE refresh_tokens.hash = ?`,
    )
    .bind(hashOf(token))
    .first<Kept>();
}

function isLive({ revoked_at, session_ends_at, token_ends_at }: Kept, now: number): boolean {
  return revoked_at === null && session_ends_at > now && token_ends_at > now;
}

const holder = (user: User, sid: string) => ({
  subject: subjectOf(user),
  sid,
  tenant: user.tenant,
  jurisdiction: user.jurisdiction,
  roles: JSON.parse(user.roles) as string[],
  scopes: [],
});

const refused = () =>
  refusal("unauthenticated", "The refresh token is no good (any more). Log in again.");

const END = "UPDATE sessions SET revoked_at = ?1, reason = ?2 WHERE revoked_at IS NULL AND";

/**
 * Ends one session; its access tokens are refused at all doors within a minute.
 *
 * @param sid of a session, or as a token of a client names it
 * @param by the administrator, where it was one
 */
export async function endSession(
  { database }: Settings,
  sid: string,
  reason: string,
  now: number,
  by?: Caller,
): Promise<void> {
  const about = { session: sid };
  await database.batch([
    ...(by ? [noteOf(database, by, now, { what: "sessions.ended", about })] : []),
    database.prepare(`${END} sid = ?3`).bind(now, reason, sid),
    // A client goes on under another name: what it is granted from now on is not meant.
    database.prepare("UPDATE clients SET sid = ? WHERE sid = ?").bind(crypto.randomUUID(), sid),
    revocation(database, sid, MOST_LIFETIME, now),
  ]);
}

/** What tells the doors. @param lifetime seconds that the tokens may live yet */
export function revocation(
  database: D1Database,
  sid: string,
  lifetime: number,
  now: number,
): D1PreparedStatement {
  return database
    .prepare("INSERT OR IGNORE INTO revocations (sid, at, until) VALUES (?, ?, ?)")
    .bind(sid, now, now + lifetime * 1_000 + SLACK);
}

/** Ends all sessions of a user. @returns how many */
export async function endSessionsOf(
  { database }: Settings,
  user: string,
  reason: string,
  now: number,
  by: Caller,
): Promise<number> {
  const about = { subject: subjectOf({ id: user }) };
  const [, ended] = await database.batch([
    ...endingSessionsOf(database, user, reason, now),
    noteOf(database, by, now, { what: "sessions.ended", about }),
  ]);
  return ended!.meta.changes;
}

/**
 * What ends all sessions of a user, for a batch.
 *
 * @param roles JSON, a list: only where she has one that isn't among these
 */
export function endingSessionsOf(
  database: D1Database,
  user: string,
  reason: string,
  now: number,
  roles?: string,
): D1PreparedStatement[] {
  const until = now + ACCESS_LIFETIME * 1_000 + SLACK;
  const kept = roles === undefined ? [] : [roles];
  const where = (at: number) =>
    roles === undefined
      ? ""
      : `AND EXISTS (SELECT 1 FROM users JOIN json_each(users.roles) AS role
           WHERE users.id = ?3 AND role.value NOT IN (SELECT value FROM json_each(?${at})))`;
  return [
    // Those that weren't refreshed lately have no access token that lives.
    database
      .prepare(
        `INSERT OR IGNORE INTO revocations (sid, at, until)
           SELECT sid, ?1, ?2 FROM sessions
            WHERE user = ?3 AND revoked_at IS NULL AND refreshed_at > ?4 ${where(5)}`,
      )
      .bind(now, until, user, now - ACCESS_LIFETIME * 1_000 - SLACK, ...kept),
    database
      .prepare(`${END} user = ?3 AND ends_at > ?1 ${where(4)}`)
      .bind(now, reason, user, ...kept),
  ];
}

/** By cron: forgets what has ended. */
export async function tendSessions({ database }: Settings, now: number): Promise<void> {
  await database.batch([
    database.prepare("DELETE FROM refresh_tokens WHERE ends_at < ?").bind(now),
    database
      .prepare("UPDATE refresh_tokens SET nonce = NULL WHERE nonce IS NOT NULL AND used_at < ?")
      .bind(now - REPEATABLE),
    database.prepare("DELETE FROM sessions WHERE ends_at < ?").bind(now),
    database.prepare("DELETE FROM revocations WHERE until < ?").bind(now),
  ]);
}
