import { randomBytes, scryptSync, timingSafeEqual } from "node:crypto";
import { refusal } from "../../src/contract/problem.ts";

/**
 * The cost of a password: 32 MiB and about 0.3 s (OWASP's choice for scrypt with p = 3). It is stored with
 * each hash, so that it can be raised.
 */
export const COST = { log2N: 15, r: 8, p: 3 };
type Cost = typeof COST;

const LEAST_BYTES = 8;
const MOST_BYTES = 1_024;
const HASH_BYTES = 32;
/** node:crypto refuses what needs as much as its limit. */
const SPARE_MEMORY = 4 * 1024 * 1024;

/**
 * The hash of a password as it is stored: `$scrypt$ln=15,r=8,p=3$salt$hash`.
 * An isolate has one thread, so the memory is taken once at a time; `inPlace` bounds who waits.
 */
export function hashPassword(password: string): string {
  const salt = randomBytes(16);
  const hash = stretch(normalised(password), salt, COST);
  return `$scrypt$ln=${COST.log2N},r=${COST.r},p=${COST.p}$${salt.toString("base64url")}$${hash.toString("base64url")}`;
}

/** What a user who isn't there is compared with, so that it takes as long. */
const NOBODY = `$scrypt$ln=${COST.log2N},r=${COST.r},p=${COST.p}$AAAAAAAAAAAAAAAAAAAAAA$${"A".repeat(43)}`;

/** @param stored undefined where there is no such user: it takes as long, and is wrong */
export function isPassword(password: string, stored: string | undefined): boolean {
  const { cost, salt, hash } = taken(stored ?? NOBODY);
  const isSame = timingSafeEqual(stretch(normalised(password), salt, cost), hash);
  return isSame && stored !== undefined;
}

/** Whether a hash was made at another cost than is asked for now. */
export function isOutdated(stored: string): boolean {
  const { cost } = taken(stored);
  return cost.log2N !== COST.log2N || cost.r !== COST.r || cost.p !== COST.p;
}

/** @throws ProblemError invalid-body unless the password has 8 to 1,024 bytes and is well-formed */
export function checkPassword(password: string): void {
  const { byteLength } = normalised(password);
  if (password.isWellFormed() && byteLength >= LEAST_BYTES && byteLength <= MOST_BYTES) return;
  const detail = `password: must be text of ${LEAST_BYTES} to ${MOST_BYTES} bytes.`;
  throw refusal("invalid-body", detail, { field: "password" });
}

/** The same characters are the same password, however a keyboard composes them (NIST SP 800-63B). */
function normalised(password: string): Buffer {
  return Buffer.from(password.normalize("NFKC"), "utf8");
}

function stretch(password: Buffer, salt: Buffer, { log2N, r, p }: Cost): Buffer {
  const N = 2 ** log2N;
  const maxmem = 128 * N * r + SPARE_MEMORY;
  return scryptSync(password, salt, HASH_BYTES, { N, r, p, maxmem });
}

function taken(stored: string): { cost: Cost; salt: Buffer; hash: Buffer } {
  const parts = /^\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([\w-]+)\$([\w-]+)$/.exec(stored);
  if (parts === null) throw new Error("A stored password hash is not of the form $scrypt$….");
  const [, log2N, r, p, salt, hash] = parts;
  return {
    cost: { log2N: Number(log2N), r: Number(r), p: Number(p) },
    salt: Buffer.from(salt!, "base64url"),
    hash: Buffer.from(hash!, "base64url"),
  };
}

/** How many may have their password hashed, or wait for it, in one isolate. */
const PLACES = 8;
/** Milliseconds after which a place is free again: its request may have been broken off. */
const PLACE_LASTS = 20_000;
const places = new Set<{ until: number }>();

/**
 * Does what hashes a password, unless too many wait for that already.
 *
 * @throws ProblemError overloaded
 */
export async function inPlace<Result>(work: () => Promise<Result>): Promise<Result> {
  const now = Date.now();
  for (const place of places) if (place.until <= now) places.delete(place);
  if (places.size >= PLACES) {
    throw refusal("overloaded", "Too many log in or register at once. Try again.", {
      retryAfter: 2,
    });
  }
  const place = { until: now + PLACE_LASTS };
  places.add(place);
  try {
    return await work();
  } finally {
    places.delete(place);
  }
}
