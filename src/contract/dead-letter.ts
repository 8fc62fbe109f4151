import { fingerprint } from "./fingerprint.ts";
import type { Problem } from "./problem.ts";
import type { Realm } from "./realm.ts";

/** Something that could not be delivered, as whoever gave up on it files it. */
export interface DeadLetter {
  /** Null where it is too broken to tell. */
  whose: Realm | null;
  /** Where it died: `queue:kitchen`, `rabbitmq:kitchen`, `webhook:{endpoint}`. */
  origin: string;
  /** What this death is known by, of all deaths at that place. */
  message: string;
  reason: Problem;
  attempts: number;
  /** As it came. */
  body: unknown;
  /** Milliseconds since the epoch. */
  at: number;
}

/** Files letters where somebody sees them; the same death filed twice changes nothing. */
export type FileLetters = (letters: readonly DeadLetter[]) => Promise<void>;

/** What a letter says of itself, as far as it can be read. */
export interface Heading {
  subject: string | null;
  type: string | null;
  /** The CloudEvent's own name: source and id. */
  name: string | null;
}

/** @param body a CloudEvent, or an envelope with one */
export function headingOf(body: unknown): Heading {
  const { event } = (body ?? {}) as { event?: unknown };
  const { source, id, subject, type } = (event ?? body ?? {}) as Record<string, unknown>;
  const isNamed = typeof source === "string" && typeof id === "string";
  return {
    subject: textOf(subject),
    type: textOf(type),
    name: isNamed ? JSON.stringify([source, id]) : null,
  };
}

/** The same for the same event at the same place, however often it dies. */
export function letterId({ whose, origin, message, body }: DeadLetter): string {
  const { tenant = null, jurisdiction } = whose ?? {};
  const realm = jurisdiction ? [tenant, jurisdiction] : [tenant];
  return fingerprint([...realm, origin, headingOf(body).name ?? message]);
}

const MAX_TEXT = 500;

/** SQLite's texts end at U+0000, and lone surrogates are no text at all. */
export function textOf(value: unknown): string | null {
  if (typeof value !== "string") return null;
  return value.slice(0, MAX_TEXT).toWellFormed().replaceAll("\0", "\uFFFD");
}
