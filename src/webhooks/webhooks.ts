import { log } from "../contract/log.ts";
import { DurableObject } from "cloudflare:workers";
import type { FileLetters } from "../contract/dead-letter.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import {
  webhooksName,
  type DeliveriesView,
  type DeliveryState,
  type DeliveryView,
  type EndpointRequest,
  type EndpointView,
  type EndpointWithSecret,
  type WebhookReply,
  type WebhookScope,
} from "../contract/webhooks.ts";
import { LEASE } from "../egress/timing.ts";
import { AlarmClock } from "../contract/alarm-clock.ts";
import { Courier } from "./courier.ts";
import type { Delivery } from "./deliveries.ts";
import { newEndpointId } from "./names.ts";
import { deliveryView, Outbox, type Begun, type Event, type Parked } from "./outbox.ts";
import { post, type Post, type PostResult } from "./post.ts";
import { SealedKeys } from "./sealed-keys.ts";
import { newSecret } from "./signing.ts";
import { checkTarget, type TargetSettings } from "./target.ts";
import { inTime, letterOf, type FilingBegun } from "./unfiled.ts";

const MAX_ENDPOINTS = 50;
const MAX_KEYS = 5;
const HOUR = 3_600_000;

/** Deliveries of each kind that are shown at once. */
const SHOWN = 100;
const MAX_PARKED_SHOWN = 1_000;

/** When the alarm's handler itself fails, it is tried again after so long. */
const AFTER_FAILURE = 60_000;

/**
 * A tenant's webhooks: who is told, what is still to be delivered, and what became of it. Objects of the
 * same class carry its posts (see `Courier`); they store nothing.
 *
 * @param filingOf where dead letters are filed, if anywhere: each delivery that is given up until somebody
 *   sends it again is filed there, tried until it is
 */
export function webhooksClass(filingOf: (env: unknown) => FileLetters | null = () => null) {
  return class Webhooks extends DurableObject<TargetSettings> {
    readonly #outbox: Outbox;
    readonly #alarm: AlarmClock;
    readonly #courier: Courier;
    readonly #keys: SealedKeys;
    readonly #file: FileLetters | null;
    /** What is being filed; it never rejects. */
    #filing: Promise<void> = Promise.resolve();

    constructor(context: DurableObjectState, env: TargetSettings) {
      super(context, env);
      this.#file = filingOf(env);
      this.#outbox = new Outbox(context.storage.sql, this.#file !== null);
      this.#alarm = new AlarmClock(context);
      this.#keys = new SealedKeys(env);
      this.#courier = new Courier(context, env, this.#keys);
      if (this.#outbox.isThere) void context.blockConcurrencyWhile(() => this.#wakeUp());
    }

    /** Never throws: an object whose constructor does is unusable. */
    async #wakeUp(): Promise<void> {
      try {
        this.#keys.resealAll(this.#outbox.endpoints);
      } catch (error) {
        // They stay as they are: what can be opened goes on signing.
        log.error("The keys of webhook endpoints could not be sealed", { error });
      }
      try {
        await this.#alarm.read();
        this.#alarm.noLaterThan(this.#outbox.due(this.#courier.running, Date.now()));
      } catch (error) {
        log.error("The webhooks could not wake up", { error });
      }
    }

    /** @throws Error where some of its keys could not be sealed */
    wake(): void {
      if (this.#outbox.isThere) this.#keys.resealAll(this.#outbox.endpoints);
    }

    /** @param json of a CloudEvent */
    receive(scope: WebhookScope, json: string): void {
      this.#check(scope);
      if (!this.#outbox.isThere) return;
      const event = JSON.parse(json) as Event;
      this.#change(scope, (now) => this.#outbox.take(event, json, now));
    }

    register(scope: WebhookScope, request: EndpointRequest): WebhookReply<EndpointWithSecret> {
      return this.#answer(scope, () => {
        const url = checkTarget(request.url, this.env);
        const id = newEndpointId();
        const secret = newSecret();
        const sealed = this.#keys.seal(scope, id, secret);
        const now = Date.now();
        return this.#alarm.transact(() => {
          this.#outbox.setUp();
          this.#outbox.endpoints.setOwner(scope);
          if (this.#outbox.endpoints.count() >= MAX_ENDPOINTS) {
            throw refusal(
              "operation-not-possible",
              `There are ${MAX_ENDPOINTS} webhook endpoints already. Remove one first.`,
            );
          }
          this.#outbox.endpoints.add(id, { ...request, url }, sealed, now);
          return { ...this.#outbox.viewOf(this.#outbox.endpoint(id), now), secret };
        });
      });
    }

    endpoints(scope: WebhookScope): EndpointView[] {
      this.#check(scope);
      if (!this.#outbox.isThere) return [];
      const now = Date.now();
      return this.#outbox.endpoints.all().map((endpoint) => this.#outbox.viewOf(endpoint, now));
    }

    endpoint(scope: WebhookScope, id: string): WebhookReply<EndpointView> {
      return this.#answer(scope, () => this.#view(id));
    }

    remove(scope: WebhookScope, id: string): WebhookReply<null> {
      return this.#answer(scope, () => {
        this.#outbox.endpoint(id);
        this.#alarm.transact(() => {
          this.#outbox.endpoints.remove(id);
          this.#outbox.deliveries.removeEndpoint(id);
          this.#outbox.log.removeEndpoint(id);
        });
        return null;
      });
    }

    rotate(scope: WebhookScope, id: string, hours: number): WebhookReply<EndpointWithSecret> {
      return this.#answer(scope, () => {
        const now = Date.now();
        const secret = newSecret();
        this.#outbox.endpoint(id);
        if (this.#outbox.endpoints.keysOf(id, now).length >= MAX_KEYS) {
          throw refusal(
            "operation-not-possible",
            `${id} signs with ${MAX_KEYS} keys already. Wait until the oldest has ended.`,
          );
        }
        const sealed = this.#keys.seal(scope, id, secret);
        this.#change(scope, () => {
          this.#outbox.endpoints.rotate(id, sealed, now + hours * HOUR);
          this.#outbox.endpoints.dropExpiredKeys(now);
          return [];
        });
        return { ...this.#view(id), secret };
      });
    }

    enable(scope: WebhookScope, id: string): WebhookReply<EndpointView> {
      return this.#answer(scope, () => {
        const { isEnabled } = this.#outbox.endpoint(id);
        if (!isEnabled) this.#alarm.transact(() => this.#outbox.endpoints.setReason(id, null));
        return this.#view(id);
      });
    }

    disable(scope: WebhookScope, id: string): WebhookReply<EndpointView> {
      return this.#answer(scope, () => {
        const endpoint = this.#outbox.endpoint(id);
        this.#change(scope, (now) => this.#outbox.disable(endpoint, "By an operator", now));
        return this.#view(id);
      });
    }

    deliveries(
      scope: WebhookScope,
      id: string,
      { after, limit }: { after: number; limit: number },
    ): WebhookReply<DeliveriesView> {
      return this.#answer(scope, () => {
        this.#outbox.endpoint(id);
        const { deliveries, log } = this.#outbox;
        return {
          log: log.read(id, after, limit),
          waiting: deliveries.list("waiting", id, SHOWN).map(deliveryView),
          parked: deliveries.list("parked", id, SHOWN).map(deliveryView),
        };
      });
    }

    /** Those of all endpoints, at most a thousand. */
    parked(scope: WebhookScope): DeliveryView[] {
      this.#check(scope);
      if (!this.#outbox.isThere) return [];
      const { deliveries, endpoints } = this.#outbox;
      const all = endpoints
        .all()
        .flatMap(({ id }) => deliveries.list("parked", id, MAX_PARKED_SHOWN).map(deliveryView));
      return all.slice(0, MAX_PARKED_SHOWN);
    }

    /** @param endpoint whose it must be, where the caller knows */
    retry(scope: WebhookScope, delivery: string, endpoint?: string): WebhookReply<DeliveryState> {
      return this.#answer(scope, () => {
        let state: DeliveryState | undefined;
        this.#change(scope, (now) => {
          state = this.#outbox.retry(delivery, endpoint, now);
          return [];
        });
        return state!;
      });
    }

    /** @param endpoint whose it must be, where the caller knows */
    discard(scope: WebhookScope, delivery: string, endpoint?: string): WebhookReply<DeliveryState> {
      return this.#answer(scope, () => {
        let state: DeliveryState | undefined;
        this.#change(scope, (now) => {
          state = this.#outbox.discard(delivery, endpoint, now);
          return [];
        });
        return state!;
      });
    }

    async eraseSubject(scope: WebhookScope, subject: string): Promise<void> {
      this.#check(scope);
      if (!this.#outbox.isThere) return;
      const { deliveries, endpoints, log } = this.#outbox;
      this.#alarm.transact(() => {
        const all = endpoints.all().map(({ id }) => id);
        deliveries.eraseSubject(subject, all, Date.now());
        log.eraseSubject(subject);
      });
      // What is being filed about it must be there before the list is told to forget it.
      await this.#filing;
    }

    /** For another object of this class alone. */
    carry(scope: WebhookScope, request: Post): Promise<PostResult> {
      if (!(this.ctx.id.name ?? "").startsWith(`${webhooksName(scope)}/`)) throw wrongName();
      // Looked at again before each try: the settings may have changed since it was registered.
      return post({ ...request, url: checkTarget(request.url, this.env) });
    }

    override alarm(): void {
      const now = Date.now();
      try {
        // Should this run die half-way, another follows.
        this.#alarm.set(now + LEASE);
        const scope = this.#outbox.endpoints.owner();
        this.#change(scope, () => {
          this.#outbox.endpoints.dropExpiredKeys(now);
          return [];
        });
        this.#alarm.set(this.#outbox.due(this.#courier.running, now));
      } catch (error) {
        // The platform drops an alarm whose handler goes on throwing.
        log.error("The alarm of the webhooks failed", { error });
        this.#alarm.set(now + AFTER_FAILURE);
      }
    }

    /** One transaction: the change, the tries that begin with it, and the alarm. Then they run. */
    #change(scope: WebhookScope, work: (now: number) => Parked[]): void {
      const now = Date.now();
      const { running } = this.#courier;
      const { parked, begun, filing } = this.#alarm.transact(() => {
        const parked = work(now);
        const begun = this.#outbox.begin(running, now);
        const filing = this.#file === null ? null : this.#outbox.unfiled.begin(now);
        this.#alarm.noLaterThan(this.#outbox.due(running, now));
        return { parked, begun, filing };
      });
      for (const one of begun) this.ctx.waitUntil(this.#deliver(scope, one));
      for (const { delivery, endpoint } of parked) {
        logParked(scope, delivery, endpoint.url);
      }
      if (filing === null) return;
      this.#outbox.unfiled.isBusy = true;
      this.#filing = this.#fileNow(scope, filing);
      this.ctx.waitUntil(this.#filing);
    }

    async #deliver(scope: WebhookScope, begun: Begun): Promise<void> {
      const began = Date.now();
      const result = await this.#courier.send(scope, begun);
      try {
        this.#change(scope, (now) => this.#outbox.settle(begun, result, { began, now }));
      } catch (error) {
        // Its lease ends, and it is tried again.
        log.error("What became of a webhook could not be noted", {
          delivery: begun.delivery.id,
          error,
        });
      }
    }

    async #fileNow(scope: WebhookScope, filing: FilingBegun): Promise<void> {
      let isFiled = true;
      try {
        // Nothing leaves before it is on disk that it is parked.
        await this.ctx.storage.sync();
        const letters = filing.deliveries.map((one) => letterOf(scope, one, Date.now()));
        await inTime(this.#file!(letters));
      } catch (error) {
        isFiled = false;
        const deliveries = filing.deliveries.length;
        log.error("Parked deliveries could not be filed", { deliveries, error });
      }
      this.#outbox.unfiled.isBusy = false;
      try {
        this.#change(scope, (now) => {
          if (isFiled) this.#outbox.unfiled.end(filing);
          else this.#outbox.unfiled.putOff(filing, now);
          return [];
        });
      } catch (error) {
        // Its lease ends, and it is filed again, which changes nothing.
        log.error("What was filed of webhooks could not be noted", { error });
      }
    }

    #view(id: string): EndpointView {
      return this.#outbox.viewOf(this.#outbox.endpoint(id), Date.now());
    }

    #answer<Value>(scope: WebhookScope, work: () => Value): WebhookReply<Value> {
      this.#check(scope);
      try {
        return { ok: true, value: work() };
      } catch (error) {
        if (error instanceof ProblemError) return { ok: false, problem: error.problem };
        throw error;
      }
    }

    /** Whoever asks must mean this object: a wrong name is a mistake of ours, and must show nothing. */
    #check(scope: WebhookScope): void {
      if (this.ctx.id.name !== webhooksName(scope)) throw wrongName();
    }
  };
}

function wrongName(): Error {
  return new Error("The webhooks of another tenant were asked for.");
}

function logParked({ tenant }: WebhookScope, delivery: Delivery, url: string): void {
  const { id, endpoint, type, subject, error } = delivery;
  console.error(
    `Webhook delivery ${id} of ${tenant} (${type} of ${subject}) to ${endpoint}, ${new URL(url).host}, is parked: ${error}`,
  );
}
