import { objectIn } from "../contract/objects.ts";
import { realmOfOwn } from "../contract/realm.ts";
import type { WebhookScope } from "../contract/webhooks.ts";
import { AT_ONCE, type Begun } from "./outbox.ts";
import { TIMEOUT, type Post, type PostResult } from "./post.ts";
import type { SealedKeys } from "./sealed-keys.ts";
import { signatureHeaders } from "./signing.ts";

/**
 * Objects that carry one endpoint's posts. The platform lets one object wait for six answers at a time
 * (Workers, "Simultaneous open connections"), whoever they come from; what is beyond waits unsent. So
 * each endpoint has carriers of its own, and each of them carries four at most.
 */
const CARRIERS = 4;

/** A carrier that says nothing for longer than its own patience is gone. */
const GONE_AFTER = TIMEOUT + 5_000;

interface Carrier {
  carry(scope: WebhookScope, request: Post): Promise<PostResult>;
}

/** Brings deliveries to their endpoints, and knows which are under way. */
export class Courier {
  readonly #context: Pick<DurableObjectState, "storage">;
  readonly #env: unknown;
  readonly #keys: SealedKeys;
  /** Endpoint → ids of what is under way to it. */
  readonly running = new Map<string, Set<string>>();
  /** Carrier → how many it carries. */
  readonly #loads = new Map<string, number>();

  constructor(context: Pick<DurableObjectState, "storage">, env: unknown, keys: SealedKeys) {
    this.#context = context;
    this.#env = env;
    this.#keys = keys;
  }

  /** One try. Never throws. */
  async send(scope: WebhookScope, { delivery, endpoint, keys }: Begun): Promise<PostResult> {
    const { id, body } = delivery;
    const carrier = this.#leastLoaded(endpoint.id);
    this.#count(carrier, 1);
    const ids = this.running.get(endpoint.id) ?? new Set();
    this.running.set(endpoint.id, ids.add(id));
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      // With one missing a receiver could take it for forged: then it isn't sent, and tried again.
      const secrets = keys.map((stored) => this.#keys.open(scope, endpoint.id, stored));
      // Nothing leaves before it is on disk that it does.
      await this.#context.storage.sync();
      const headers = {
        "Content-Type": "application/cloudevents+json; charset=utf-8",
        "User-Agent": "Durachart",
        ...signatureHeaders(id, Date.now(), body, secrets),
      };
      const gone = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error("its carrier is gone")), GONE_AFTER);
      });
      const request = { url: endpoint.url, headers, body };
      return await Promise.race([
        this.#stub(scope, endpoint.id, carrier).carry(scope, request),
        gone,
      ]);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return { status: null, error: `It could not be sent: ${why}`, retryAfter: null };
    } finally {
      clearTimeout(timer);
      this.#count(carrier, -1);
      ids.delete(id);
      if (ids.size === 0) this.running.delete(endpoint.id);
    }
  }

  /** A stub that has failed stays broken: each call gets a new one. */
  #stub(scope: WebhookScope, endpoint: string, carrier: string): Carrier {
    const { WEBHOOKS } = this.#env as { WEBHOOKS?: DurableObjectNamespace };
    if (WEBHOOKS === undefined) throw new Error("the binding WEBHOOKS is missing");
    // As `webhooksName`, and two parts more.
    const name = [scope.jurisdiction ?? "", endpoint, carrier.slice(endpoint.length + 1)];
    return objectIn(WEBHOOKS, realmOfOwn(scope), ...name) as unknown as Carrier;
  }

  #leastLoaded(endpoint: string): string {
    const names = Array.from({ length: CARRIERS }, (_, index) => `${endpoint}/${index}`);
    const loads = names.map((name) => this.#loads.get(name) ?? 0);
    return names[loads.indexOf(Math.min(...loads))]!;
  }

  #count(carrier: string, change: number): void {
    const load = (this.#loads.get(carrier) ?? 0) + change;
    if (load === 0) this.#loads.delete(carrier);
    else this.#loads.set(carrier, load);
  }
}

// With any more, a carrier could have to wait for a connection.
if (AT_ONCE / CARRIERS > 6) throw new Error("Too few carriers for what is under way at once");
