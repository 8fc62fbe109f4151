import { createHmac, timingSafeEqual } from "node:crypto";
import { envelopeOf } from "../../src/cloudevents/outgoing.ts";
import { refusal } from "../../src/contract/problem.ts";
import type { Confirmation } from "../contracts/auth.ts";
import type { MailWanted } from "../contracts/mail.ts";
import { isAddress } from "../mailer/shapes.ts";
import type { Granted } from "./access-token.ts";
import { inPlace, isPassword } from "./passwords.ts";
import { beginSession } from "./sessions.ts";
import type { Settings } from "./settings.ts";
import { countLogin } from "./throttle.ts";

/** Milliseconds that a registration may be confirmed. */
const LASTS = 3_600_000;
/** Mails to one address in that time, whoever asks for them. */
const MOST_MAILS = 3;
/** Mails asked for in one go. */
const MOST = 50;

/**
 * @param isMailThere whether mail is wanted at that name and nowhere else
 * @throws ProblemError not-configured, invalid-body: the same whether there is such an account or not
 */
export function checkConfirmable(settings: Settings, name: string, isMailThere: boolean): void {
  if (settings.mails === undefined) {
    const detail = "MAILS_QUEUE is not bound, so that nobody could confirm a registration.";
    throw refusal("not-configured", detail);
  }
  if (!isAddress(name)) {
    const detail = "username: must be an address of mail: that is where the code goes.";
    throw refusal("invalid-body", detail, { field: "username" });
  }
  if (!isMailThere) {
    const detail = "email: leave it out, mail goes to the username.";
    throw refusal("invalid-body", detail, { field: "email" });
  }
}

/**
 * Notes that somebody has registered. One statement whether the name is taken, registered already or new,
 * so that its time tells nothing; what becomes of it only the owner of the address reads.
 *
 * @param password its hash
 */
export async function noteRegistration(
  { database, tenant, jurisdiction }: Settings,
  name: string,
  password: string,
  now: number,
): Promise<void> {
  await database
    .prepare(
      `INSERT INTO registrations (id, name, password, tenant, jurisdiction, created_at, mail)
         SELECT ?1, ?2, CASE mail WHEN 'confirm-address' THEN ?3 END, ?4, ?5, ?6, mail FROM (
           SELECT CASE
             WHEN (SELECT count(*) FROM registrations
                    WHERE name = ?2 AND created_at > ?7 AND mail IS NOT NULL) >= ?8 THEN NULL
             WHEN EXISTS (SELECT 1 FROM users WHERE name = ?2) THEN 'already-registered'
             ELSE 'confirm-address' END AS mail)`,
    )
    .bind(
      ...[crypto.randomUUID(), name, password, tenant, jurisdiction ?? null],
      ...[now, now - LASTS, MOST_MAILS],
    )
    .run();
}

interface Noted {
  id: string;
  name: string;
  tenant: string;
  jurisdiction: DurableObjectJurisdiction | null;
  created_at: number;
  mail: "confirm-address" | "already-registered";
}

/**
 * Asks the mailer for the mails of who has registered. It may ask twice, should it end in between: for the
 * same mail by the same id, which is sent once.
 */
export async function mailRegistrations(settings: Settings, now: number): Promise<void> {
  const { database, mails } = settings;
  if (mails === undefined) return;
  const { results } = await database
    .prepare(
      `SELECT id, name, tenant, jurisdiction, created_at, mail FROM registrations
        WHERE mail IS NOT NULL AND mailed_at IS NULL AND created_at > ?
        ORDER BY created_at LIMIT ?`,
    )
    .bind(now - LASTS, MOST)
    .all<Noted>();
  if (results.length === 0) return;
  await mails.sendBatch(
    results.map((noted) => ({ body: mailTo(settings, noted), contentType: "json" as const })),
  );
  await database
    .prepare("UPDATE registrations SET mailed_at = ? WHERE id IN (SELECT value FROM json_each(?))")
    .bind(now, JSON.stringify(results.map(({ id }) => id)))
    .run();
}

function mailTo(settings: Settings, { id, name, tenant, ...noted }: Noted) {
  const to = { address: name };
  const data: MailWanted =
    noted.mail === "confirm-address"
      ? { template: noted.mail, to, values: { code: codeOf(settings, id) } }
      : { template: noted.mail, to, values: {} };
  return envelopeOf({
    ...{ source: "/auth", id: `mail-${id}`, type: "mail.wanted", time: noted.created_at, data },
    about: { tenant, workflow: "registrations", id },
    jurisdiction: noted.jurisdiction ?? undefined,
  });
}

/**
 * Makes the account of a registration, and logs in. The code says that its holder reads the mail of the
 * address; the password, that it was her who registered. Without it somebody could register with a
 * stranger's address and a password of his own, wait until she enters the code that she was sent, and be in
 * her account ever after (account pre-hijacking).
 *
 * Of several registrations of one name the first that is confirmed has it. The same again, by who never got
 * the answer, is a login.
 *
 * @throws ProblemError unauthenticated, whatever was wrong; too-many-attempts, overloaded
 */
export async function confirm(
  settings: Settings,
  { code, password }: Confirmation,
  address: string,
  now: number,
): Promise<Granted> {
  const { database } = settings;
  return inPlace(async () => {
    const id = idIn(settings, code);
    const registration = await database
      .prepare(
        // Where the account is there already, hers.
        `SELECT registrations.name, coalesce(users.password, registrations.password) AS password
           FROM registrations LEFT JOIN users USING (id)
          WHERE id = ? AND registrations.created_at > ?`,
      )
      .bind(id, now - LASTS)
      .first<{ name: string; password: string | null }>();
    // With its guesses at a login: it is the same password. No name has a space in it.
    const account = registration?.name ?? `code ${code}`;
    const attempt = await countLogin(settings, account, address, now);
    const isRight = isPassword(password, registration?.password ?? undefined);
    const isMade = isRight && id !== null && (await makeUser(database, id, now));
    if (!isMade) {
      throw refusal("unauthenticated", "The code or the password is wrong, or the code has ended.");
    }
    await attempt.succeeded();
    return beginSession(settings, id, now);
  });
}

/** @returns false where another has the name */
async function makeUser(database: D1Database, id: string, now: number): Promise<boolean> {
  const [, found] = await database.batch([
    database
      .prepare(
        `INSERT OR IGNORE INTO users (id, name, password, tenant, jurisdiction, created_at)
           SELECT id, name, password, tenant, jurisdiction, ?2 FROM registrations WHERE id = ?1`,
      )
      .bind(id, now),
    database.prepare("SELECT 1 FROM users WHERE id = ?").bind(id),
  ]);
  return found!.results.length === 1;
}

/** By cron: forgets who never confirmed. */
export async function tendRegistrations({ database }: Settings, now: number): Promise<void> {
  await database
    .prepare("DELETE FROM registrations WHERE created_at <= ?")
    .bind(now - LASTS)
    .run();
}

/**
 * What the mail brings: the registration's id and half of a keyed hash of it, 128 bits, in hexadecimal. It
 * is not stored, and yet the same each time that the mail is asked for.
 */
export function codeOf(settings: Settings, id: string): string {
  const seal = createHmac("sha256", settings.derive("confirmations")).update(id).digest("hex");
  return id.replaceAll("-", "") + seal.slice(0, 32);
}

/** @returns null where it is no code of this deployment's, as it is set now */
function idIn(settings: Settings, code: string): string | null {
  const parts = /^([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})/.exec(code);
  if (parts === null) return null;
  const id = parts.slice(1).join("-");
  const [given, own] = [Buffer.from(code), Buffer.from(codeOf(settings, id))];
  return given.length === own.length && timingSafeEqual(given, own) ? id : null;
}
