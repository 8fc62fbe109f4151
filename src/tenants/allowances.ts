import type { Limits } from "../contract/limits.ts";
import { log } from "../contract/log.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import { realmOfOwn } from "../contract/realm.ts";
import { within } from "../contract/within.ts";
import {
  tenantObject,
  WINDOW,
  type Metered,
  type Place,
  type TenantCalls,
  type TenantLimits,
} from "../contract/tenancy.ts";

/** What this isolate has leased of one tenant's allowance. */
interface Held {
  tokens: number;
  /** What the tenant had left when it was last asked. */
  remaining: number;
  /** When both end, by the tenant's clock and by this isolate's; milliseconds since the epoch. */
  window: number;
  resets: number;
  /** How much to ask for next: twice what was used up, so that the busy ask rarely. */
  want: number;
  /** The asking that is under way. */
  asking: Promise<void> | null;
}

const FIRST_WANT = 8;
const MOST_WANT = 1_024;

/** Tenants of which an isolate remembers what it has leased. */
const MAX_HELD = 10_000;

/** How long an object may take to answer before what it says is not waited for, in milliseconds. */
const PATIENCE = 2_000;

/** How long a lease lasts whose minute is over by this isolate's clock and not by the tenant's, in milliseconds. */
const BEHIND = 1_000;

/** What an isolate grants itself while the tenant's object doesn't answer: orders go before counts. */
const UNASKED = 256;

const held = new Map<string, Held>();

/** What tenants may still do: leased from their objects, and used up here without asking. */
export class Allowances {
  readonly #env: unknown;
  readonly #limits: Limits;

  /** @param limits read anew at each use */
  constructor(env: unknown, limits: Limits) {
    this.#env = env;
    this.#limits = limits;
  }

  /**
   * Uses up some of what a tenant may do this minute.
   *
   * @throws ProblemError too-many-requests; body-too-large where it is more than a whole minute's;
   *   not-configured where the class Tenant is not bound
   */
  async take(tenant: string, kind: Metered, count: number): Promise<void> {
    const limit = this.#limitsOf(tenant)[`${kind}PerMinute`];
    if (count > 1 && count > limit) {
      const detail = `It has ${count} ${kind}, and the tenant has ${limit} a minute. Send fewer at once.`;
      throw refusal("body-too-large", detail);
    }
    while (!this.takeNow(tenant, kind, count)) {
      const mine = heldOf(tenant, kind);
      const asking = (mine.asking ??= this.#ask(tenant, kind, limit, count, mine).finally(() => {
        if (mine.asking === asking) mine.asking = null;
      }));
      try {
        // A promise of this request's own: what awaits another request's goes on as that request, and
        // may touch nothing of its own any more ("I/O on behalf of a different request").
        await answered(asking);
      } catch (error) {
        if (error instanceof ProblemError) throw error;
        // The request that asked was broken off, and its question with it.
        if (mine.asking === asking) mine.asking = null;
        continue;
      }
      if (mine.tokens < count && mine.remaining === 0 && Date.now() < mine.resets) {
        throw tooMany(kind, limit, mine.resets);
      }
    }
  }

  /**
   * As `take`, of what is there.
   *
   * @returns false where the tenant's object is to be asked first
   * @throws ProblemError too-many-requests where there is known to be none
   */
  takeNow(tenant: string, kind: Metered, count: number): boolean {
    const mine = heldOf(tenant, kind);
    if (Date.now() >= mine.resets) {
      mine.tokens = 0;
      mine.remaining = Infinity;
      mine.resets = Infinity;
      mine.want = FIRST_WANT;
    }
    if (mine.tokens >= count) {
      mine.tokens -= count;
      return true;
    }
    if (mine.remaining > 0) return false;
    throw tooMany(kind, this.#limitsOf(tenant)[`${kind}PerMinute`], mine.resets);
  }

  /** One more instance. @throws ProblemError too-many-requests */
  async start(tenant: string): Promise<void> {
    const { liveInstances } = this.#limitsOf(tenant);
    const place = await this.#place(this.#object(tenant).start(tenant, liveInstances));
    if (place.granted) return;
    throw refusal(
      "too-many-instances",
      `There are about ${place.taken} live instances; ${liveInstances} are allowed. Let some come to their end first.`,
    );
  }

  /**
   * One more socket.
   *
   * @param until when it ends at the latest, in milliseconds since the epoch
   * @throws ProblemError too-many-sockets
   */
  async open(tenant: string, socket: string, until: number): Promise<void> {
    const { sockets } = this.#limitsOf(tenant);
    const place = await this.#place(this.#object(tenant).open(tenant, socket, until, sockets));
    if (place.granted) return;
    throw refusal(
      "too-many-sockets",
      `About ${place.taken} WebSockets are open; ${sockets} are allowed. Close some first.`,
    );
  }

  /**
   * One more socket, under a name of its own, by which its place is given back: here where none comes of it,
   * else by whoever has it.
   *
   * @param until when it ends at the latest, in milliseconds since the epoch
   * @throws ProblemError too-many-sockets; what `make` throws
   */
  async openWith(
    tenant: string,
    until: number,
    make: (socket: string) => Promise<Response>,
  ): Promise<Response> {
    const socket = crypto.randomUUID();
    await this.open(tenant, socket, until);
    let response: Response | undefined;
    try {
      response = await make(socket);
    } finally {
      if (!response?.webSocket) await this.close(tenant, socket);
    }
    return response;
  }

  /** Its place is free again. Where that is not heard, it is when its token ends. */
  async close(tenant: string, socket: string): Promise<void> {
    try {
      await answered(this.#object(tenant).close(tenant, socket));
    } catch (error) {
      log.warn("A socket's place could not be given back", { tenant, error });
    }
  }

  async #ask(
    tenant: string,
    kind: Metered,
    limit: number,
    count: number,
    mine: Held,
  ): Promise<void> {
    const object = this.#object(tenant);
    const want = Math.max(mine.want, count);
    try {
      const { granted, remaining, resets } = await answered(
        object.lease(tenant, kind, want, limit),
      );
      if (resets !== mine.window) mine.tokens = 0;
      mine.tokens += granted;
      mine.remaining = remaining;
      mine.window = resets;
      // Where its clock is behind, its minute goes on: what it grants is good, or it would be asked for ever.
      const now = Date.now();
      mine.resets = resets > now ? resets : now + BEHIND;
      mine.want = Math.min(mine.want * 2, MOST_WANT);
    } catch (error) {
      log.warn("A tenant's allowance could not be asked for; some is granted unasked", {
        ...{ tenant, error },
      });
      const now = Date.now();
      mine.tokens = Math.max(UNASKED, count);
      mine.remaining = Infinity;
      mine.window = mine.resets = now - (now % WINDOW) + WINDOW;
    }
  }

  async #place(asking: Promise<Place>): Promise<Place> {
    try {
      return await answered(asking);
    } catch (error) {
      log.warn("A tenant's object doesn't answer; it counts as a yes", { error });
      return { granted: true };
    }
  }

  #limitsOf(tenant: string): TenantLimits {
    const { tenants } = this.#limits;
    const own = Object.hasOwn(tenants.own ?? {}, tenant) ? tenants.own![tenant]! : {};
    return { ...tenants, ...own };
  }

  /** @throws ProblemError not-configured */
  #object(tenant: string): TenantCalls {
    const object = tenantObject(this.#env, realmOfOwn({ tenant }));
    if (object !== undefined) return object;
    throw refusal(
      "not-configured",
      "Bind the object class Tenant as TENANTS: it keeps what each tenant may do.",
    );
  }
}

/** The tenant's object, or an error in its place. */
const answered = <Value>(promise: Promise<Value>): Promise<Value> =>
  within(promise, PATIENCE, `no answer for ${PATIENCE} ms`);

function heldOf(tenant: string, kind: Metered): Held {
  const key = `${kind} ${tenant}`;
  let mine = held.get(key);
  if (mine === undefined) {
    // The one that is there longest: what it held is lost to its tenant until the minute is over.
    if (held.size >= MAX_HELD) held.delete(held.keys().next().value!);
    const nothing = { tokens: 0, remaining: Infinity, window: Infinity, resets: Infinity };
    mine = { ...nothing, want: FIRST_WANT, asking: null };
    held.set(key, mine);
  }
  return mine;
}

function tooMany(kind: Metered, quota: number, resets: number): ProblemError {
  const reset = Math.max(1, Math.ceil((resets - Date.now()) / 1_000));
  const limit = { name: kind, quota, window: WINDOW / 1_000, remaining: 0, reset };
  return refusal(
    "too-many-requests",
    `The tenant's ${quota} ${kind} of this minute are used up. Try again in ${reset} s.`,
    { limit },
  );
}
