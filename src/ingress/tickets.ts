import { jwtVerify, SignJWT } from "jose";
import * as v from "valibot";
import type { Caller } from "../contract/caller.ts";
import { refusal } from "../contract/problem.ts";
import { jurisdiction } from "./jurisdiction.ts";

export interface TicketSettings {
  /** What tickets are signed with: base64 of 32 bytes or more. Without it there are none. */
  TICKET_SECRET?: string;
}

/** Seconds for which a ticket is good. */
export const TICKET_LIFE = 30;

const LEAST_SECRET = 32;
const TYPE = "ticket+jwt";

/** What a ticket opens: one socket of one instance, for one page. */
export interface Ticket {
  caller: Caller;
  workflow: string;
  id: string;
  /** Where the page is from; null for what is no browser. */
  origin: string | null;
  /** When the token ends that it was asked for with, in milliseconds since the epoch. */
  until: number;
}

const claims = v.object({
  jti: v.pipe(v.string(), v.minLength(1)),
  exp: v.number(),
  caller: v.object({
    tenant: v.string(),
    jurisdiction,
    subject: v.string(),
    roles: v.array(v.string()),
    scopes: v.optional(v.array(v.string())),
    credential: v.optional(v.string()),
  }),
  workflow: v.string(),
  id: v.string(),
  origin: v.nullable(v.string()),
  until: v.number(),
});

/** @throws ProblemError not-configured */
export async function issueTicket(settings: TicketSettings, ticket: Ticket): Promise<string> {
  return new SignJWT({ ...ticket })
    .setProtectedHeader({ alg: "HS256", typ: TYPE })
    .setJti(crypto.randomUUID())
    .setExpirationTime(`${TICKET_LIFE}s`)
    .sign(secretOf(settings));
}

/**
 * What a ticket opens, where it is for this instance and this page. That it is used once the instance sees to.
 *
 * @throws ProblemError unauthenticated, not-configured
 */
export async function readTicket(
  settings: TicketSettings,
  text: string,
  { workflow, id, origin }: Pick<Ticket, "workflow" | "id" | "origin">,
): Promise<{ caller: Caller; until: number; ticket: { id: string; expires: number } }> {
  const secret = secretOf(settings);
  let found: v.InferOutput<typeof claims>;
  try {
    const { payload } = await jwtVerify(text, secret, {
      ...{ algorithms: ["HS256"], typ: TYPE, requiredClaims: ["exp", "jti"] },
    });
    found = v.parse(claims, payload);
  } catch {
    throw invalid("It is none, or its 30 seconds are over.");
  }
  if (found.workflow !== workflow || found.id !== id) throw invalid("It is for another instance.");
  if (found.origin !== origin) throw invalid("It is for a page of another origin.");
  const { caller, until, jti, exp } = found;
  return { caller: caller as Caller, until, ticket: { id: jti, expires: exp * 1_000 } };
}

function invalid(why: string) {
  return refusal("unauthenticated", `The ticket is not good. ${why} Ask for another one.`);
}

function secretOf({ TICKET_SECRET = "" }: TicketSettings): Uint8Array {
  const secret = Uint8Array.from(atobOrNothing(TICKET_SECRET), (one) => one.charCodeAt(0));
  if (secret.byteLength >= LEAST_SECRET) return secret;
  throw refusal(
    "not-configured",
    `TICKET_SECRET must be set, to base64 of at least ${LEAST_SECRET} bytes, before there are tickets.`,
  );
}

function atobOrNothing(text: string): string {
  try {
    return atob(text);
  } catch {
    return "";
  }
}
