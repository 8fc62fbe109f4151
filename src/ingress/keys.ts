import { importJWK, type JWK } from "jose";
import * as v from "valibot";
import { log } from "../contract/log.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import { within } from "../contract/within.ts";

/** Milliseconds after which what the issuer published is asked for anew, behind a request's back. */
const REFRESH = 30_000;
/** Milliseconds after which a request waits for that, so that a revocation counts within a minute. */
const STALE = 60_000;
/** Milliseconds between two questions to an issuer: unknown keys, however many, cause no more. */
const COOLDOWN = 5_000;
/** Milliseconds that a question may take. */
const PATIENCE = 4_000;
/** Milliseconds that a door goes on with the keys it has while the issuer is out of reach. */
const SURVIVES = 24 * 3_600_000;
/** Keys of one set that are looked at. */
const MOST_KEYS = 100;
const MOST_REVOKED = 10_000;

/** JSON Web Algorithms (RFC 7518, RFC 8037) that a door can be told to take. */
export type Algorithm = "EdDSA" | "ES256" | "RS256" | "PS256";

/** A public key that tokens may be signed with, and by which algorithm alone. */
export interface VerificationKey {
  key: CryptoKey;
  algorithm: Algorithm;
}

/** What a door knows of its issuer. */
export interface Known {
  keys: ReadonlyMap<string, VerificationKey>;
  revoked: ReadonlySet<string>;
  revokedBefore: number;
}

/** How to ask; `isFixed` where the answer never changes. */
export interface KeySource {
  name: string;
  isFixed: boolean;
  ask(signal: AbortSignal): Promise<unknown>;
}

const published = v.object({
  keys: v.pipe(v.array(v.unknown()), v.maxLength(MOST_KEYS)),
  revoked: v.optional(v.pipe(v.array(v.string()), v.maxLength(MOST_REVOKED)), []),
  revokedBefore: v.optional(v.number(), 0),
});

/** The parameters that make a public key, by its type; a private half that strayed in isn't taken along. */
const coordinate = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{43}$/));
/** 2,048 bits at least (RFC 7518, 3.3), and 4,096 at most: a larger one makes each token a burden. */
const modulus = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{342,683}$/));
const common = {
  kid: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  use: v.optional(v.literal("sig")),
  key_ops: v.optional(v.pipe(v.array(v.string()), v.includes("verify"))),
};
const usable = v.variant("kty", [
  v.object({
    ...{ kty: v.literal("OKP"), crv: v.literal("Ed25519"), x: coordinate },
    ...{ ...common, alg: v.optional(v.picklist(["EdDSA", "Ed25519"])) },
  }),
  v.object({
    ...{ kty: v.literal("EC"), crv: v.literal("P-256"), x: coordinate, y: coordinate },
    ...{ ...common, alg: v.optional(v.literal("ES256")) },
  }),
  v.object({
    ...{ kty: v.literal("RSA"), n: modulus, e: v.literal("AQAB") },
    ...{ ...common, alg: v.optional(v.picklist(["RS256", "PS256"])) },
  }),
]);

/**
 * The keys of one issuer as this isolate has them: asked for when there are none, when one is unknown,
 * and again and again behind the requests' backs.
 */
export class KeyRing {
  readonly #source: KeySource;
  readonly #algorithms: readonly Algorithm[];
  readonly #inBackground: (work: Promise<void>) => void;
  #known: Known | null = null;
  #knownAt = -Infinity;
  #askedAt = -Infinity;
  /** Whether the last question got no answer. */
  #hasFailed = false;
  #asking: Promise<void> | null = null;

  /** @param algorithms that keys are taken for */
  constructor(
    source: KeySource,
    algorithms: readonly Algorithm[],
    inBackground: (work: Promise<void>) => void,
  ) {
    this.#source = source;
    this.#algorithms = algorithms;
    this.#inBackground = inBackground;
  }

  /**
   * What is known now.
   *
   * @throws ProblemError keys-out-of-reach where nothing is; not-configured where it can't be read
   */
  async current(): Promise<Known> {
    const now = Date.now();
    // A clock that was set back makes nothing younger.
    const age = Math.abs(now - this.#knownAt);
    if (this.#known === null || age >= SURVIVES) {
      this.#known = null;
      await this.#ask(now);
    } else if (!this.#source.isFixed && age >= STALE && !this.#hasFailed) {
      // In an outage nobody waits: who was there first has found out.
      await this.#ask(now);
    } else if (!this.#source.isFixed && age >= REFRESH && this.#mayAsk(now)) {
      this.#inBackground(this.#ask(now));
    }
    if (this.#known !== null) return this.#known;
    throw outOfReach();
  }

  /** The key of that name. Where it is unknown the issuer is asked, but not for each that makes one up. */
  async find(kid: string): Promise<{ key: VerificationKey | undefined; known: Known }> {
    const known = await this.current();
    const key = known.keys.get(kid);
    if (key !== undefined || this.#source.isFixed) return { key, known };
    await this.#ask(Date.now());
    const after = this.#known ?? known;
    const found = after.keys.get(kid);
    // The issuer may have a new key that could not be had: that is no reason to call a token wrong.
    if (found === undefined && this.#hasFailed) throw outOfReach();
    return { key: found, known: after };
  }

  #mayAsk(now: number): boolean {
    if (this.#source.isFixed) return true;
    return this.#asking === null && Math.abs(now - this.#askedAt) >= COOLDOWN;
  }

  /** Asks, unless that was done just now; who comes while it is under way waits for the same answer. */
  async #ask(now: number): Promise<void> {
    if (this.#asking === null) {
      if (!this.#mayAsk(now)) return;
      this.#askedAt = now;
      const asking = this.#take(now).finally(() => {
        if (this.#asking === asking) this.#asking = null;
      });
      this.#asking = asking;
      // Should this request be broken off, its question goes on for the others that wait for it.
      this.#inBackground(asking.catch(() => {}));
    } else if (Math.abs(now - this.#askedAt) > 2 * PATIENCE) {
      // The request that asked was broken off, and its question with it.
      this.#asking = null;
      return this.#ask(now);
    }
    try {
      // Another request may have begun it, and end with it: nobody waits for ever.
      await inTime(this.#asking, PATIENCE + 500);
    } catch (error) {
      if (error instanceof ProblemError) throw error;
    }
  }

  async #take(now: number): Promise<void> {
    try {
      const answer = await inTime(this.#source.ask(AbortSignal.timeout(PATIENCE)), PATIENCE);
      this.#known = await readPublished(answer, this.#algorithms);
      this.#knownAt = now;
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      if (this.#source.isFixed) {
        throw refusal("not-configured", `${this.#source.name} is no key set with a usable key.`);
      }
      const goesOn = this.#known === null ? "nothing is known" : "what is known goes on being used";
      log.error(`${this.#source.name} gave no keys; ${goesOn}`, { error });
    }
  }
}

const outOfReach = () =>
  refusal(
    "keys-out-of-reach",
    "The issuer's keys could not be had, so this token can't be checked. Try again.",
    { retryAfter: COOLDOWN / 1_000 },
  );

const inTime = <Value>(work: Promise<Value>, patience: number): Promise<Value> =>
  within(work, patience, `It took more than ${patience} ms.`);

/** @throws where there is no usable key in it: then what was known before is the better */
async function readPublished(answer: unknown, algorithms: readonly Algorithm[]): Promise<Known> {
  const { keys: given, revoked, revokedBefore } = v.parse(published, answer);
  const keys = new Map<string, VerificationKey>();
  for (const one of given) {
    // Shared secrets, other curves, keys for other uses: not for us.
    const result = v.safeParse(usable, one);
    if (!result.success || keys.has(result.output.kid)) continue;
    const algorithm = algorithmOf(result.output);
    if (!algorithms.includes(algorithm)) continue;
    try {
      const key = (await importJWK(publicHalf(result.output), algorithm)) as CryptoKey;
      keys.set(result.output.kid, { key, algorithm });
    } catch {
      // A point that is on no curve.
    }
  }
  if (keys.size === 0) throw new Error(`There is no key among them for ${algorithms.join(", ")}.`);
  return { keys, revoked: new Set(revoked), revokedBefore };
}

type Usable = v.InferOutput<typeof usable>;

/** One key, one algorithm (RFC 8725, 3.1): an RSA key that doesn't say which is for RS256. */
function algorithmOf(key: Usable): Algorithm {
  if (key.kty === "OKP") return "EdDSA";
  if (key.kty === "EC") return "ES256";
  return key.alg ?? "RS256";
}

function publicHalf(key: Usable): JWK {
  const { kty } = key;
  if (kty === "RSA") return { kty, n: key.n, e: key.e };
  return { kty, crv: key.crv, x: key.x, ...(kty === "EC" ? { y: key.y } : {}) };
}
