import { refusal } from "../contract/problem.ts";
import type { DeliveryState, DeliveryView, EndpointView } from "../contract/webhooks.ts";
import { backoff, LEASE } from "../egress/timing.ts";
import { DeliveryLog, LOG_SCHEMA, type NewLogEntry } from "./delivery-log.ts";
import { DELIVERY_SCHEMA, DeliveryTable, type Delivery } from "./deliveries.ts";
import { ENDPOINT_SCHEMA, EndpointTable, takesType, type Endpoint } from "./endpoints.ts";
import { deliveryId } from "./names.ts";
import type { PostResult } from "./post.ts";
import { UNFILED_SCHEMA, UnfiledTable } from "./unfiled.ts";

/** Deliveries under way to one endpoint. */
export const AT_ONCE = 16;

/** Deliveries that wait at one endpoint; what comes then is parked, and with as many parked it is disabled. */
export const MAX_WAITING = 10_000;

/** How long a delivery is tried before it is parked for a person, in milliseconds. */
const EXHAUSTED_AFTER = 24 * 3_600_000;

/** Of the 10 GB that an object may have. */
const MAX_DATABASE_BYTES = 5_000_000_000;

/** A CloudEvent on its way in. */
export interface Event {
  id: string;
  source: string;
  type: string;
  subject: string;
}

/** What a transaction has led to, to be told once it is committed. */
export type Parked = { delivery: Delivery; endpoint: Endpoint };

/**
 * What is stored, and every change of it. All methods are to be called inside a transaction of the
 * caller's, and touch nothing but the tables.
 */
export class Outbox {
  readonly endpoints: EndpointTable;
  readonly deliveries: DeliveryTable;
  readonly log: DeliveryLog;
  readonly unfiled: UnfiledTable;
  readonly #sql: SqlStorage;
  /** Endpoint → how many deliveries it has at most: it counts up only, and is looked up when that is a lot. */
  readonly #atMost = new Map<string, number>();
  #isThere: boolean;
  readonly #isFiled: boolean;

  /** @param isFiled whether what is parked is to be filed with the dead letters */
  constructor(sql: SqlStorage, isFiled: boolean) {
    this.#sql = sql;
    this.#isFiled = isFiled;
    this.unfiled = new UnfiledTable(sql);
    this.endpoints = new EndpointTable(sql);
    this.deliveries = new DeliveryTable(sql);
    this.log = new DeliveryLog(sql);
    const found = sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'endpoints'").toArray();
    this.#isThere = found.length > 0;
    if (this.#isThere) this.setUp();
  }

  /** Whether anything was ever registered: without that there are no tables. */
  get isThere(): boolean {
    return this.#isThere;
  }

  setUp(): void {
    this.#sql.exec(ENDPOINT_SCHEMA + DELIVERY_SCHEMA + LOG_SCHEMA + UNFILED_SCHEMA);
    this.#isThere = true;
  }

  /** @throws ProblemError not-found */
  endpoint(id: string): Endpoint {
    const found = this.#isThere ? this.endpoints.find(id) : undefined;
    if (found !== undefined) return found;
    throw refusal("not-found", `There is no webhook endpoint "${id.slice(0, 100)}".`);
  }

  /** Takes an event in for every endpoint that wants it. @throws Error where there is no room for more */
  take(event: Event, body: string, now: number): Parked[] {
    const parked: Parked[] = [];
    if (this.deliveries.wasErased(event.subject)) return parked;
    for (const endpoint of this.endpoints.all()) {
      if (!endpoint.isEnabled || !takesType(endpoint, event.type)) continue;
      if (this.#sql.databaseSize > MAX_DATABASE_BYTES) {
        throw new Error(
          "The tenant's webhooks have 5 GB of undelivered events; retry or discard some.",
        );
      }
      const { source, id: message, type, subject } = event;
      const id = deliveryId(endpoint.id, source, message);
      const named = { id, endpoint: endpoint.id, source, message, type, subject, body };
      if (this.deliveries.add(named, now)) parked.push(...this.#checkRoom(endpoint, id, now));
    }
    return parked;
  }

  #checkRoom(endpoint: Endpoint, added: string, now: number): Parked[] {
    const counted = this.#atMost.get(endpoint.id);
    const atMost = counted === undefined ? this.#count(endpoint.id) : counted + 1;
    this.#atMost.set(endpoint.id, atMost);
    if (atMost <= MAX_WAITING) return [];
    this.#atMost.set(endpoint.id, this.#count(endpoint.id));
    const waiting = this.deliveries.count(endpoint.id, "waiting");
    const parked: Parked[] = [];
    if (waiting > MAX_WAITING) {
      const reason = `${MAX_WAITING} deliveries were waiting for this endpoint already`;
      parked.push(this.#park(endpoint, this.deliveries.find(added)!, reason, now));
    }
    if (this.#atMost.get(endpoint.id)! < 2 * MAX_WAITING) return parked;
    const reason = `It had ${2 * MAX_WAITING} undelivered events`;
    return [...parked, ...this.disable(endpoint, reason, now)];
  }

  #count(endpoint: string): number {
    return this.deliveries.count(endpoint, "waiting") + this.deliveries.count(endpoint, "parked");
  }

  /** Those whose turn it is, with their tries begun. @param running ids of what is under way, by endpoint */
  begin(running: ReadonlyMap<string, ReadonlySet<string>>, now: number): Begun[] {
    return this.endpoints.all().flatMap((endpoint) => {
      if (!endpoint.isEnabled) return [];
      const underWay = running.get(endpoint.id) ?? new Set();
      const free = AT_ONCE - underWay.size;
      if (free <= 0) return [];
      // One that has outlived its lease, and runs on, is due as well.
      const due = this.deliveries.due(endpoint.id, now, free + underWay.size);
      const leaseUntil = now + LEASE;
      for (const { id } of due.filter(({ id }) => underWay.has(id))) {
        this.deliveries.renew(id, leaseUntil);
      }
      const chosen = due.filter(({ id }) => !underWay.has(id)).slice(0, free);
      const keys = this.endpoints.keysOf(endpoint.id, now).map(({ stored }) => stored);
      return chosen.map((delivery) => {
        this.deliveries.beginTry(delivery, leaseUntil);
        return { endpoint, keys, delivery: { ...delivery, attempts: delivery.attempts + 1 } };
      });
    });
  }

  /** When there is next something to do; Infinity for never. */
  due(running: ReadonlyMap<string, ReadonlySet<string>>, now: number): number {
    const dues = this.endpoints.all().map(({ id, isEnabled }) => {
      if (!isEnabled) return Infinity;
      const due = this.deliveries.nextDue(id);
      // Where all places are taken, the end of a try lets the next begin, and this is for if that dies.
      const isFull = (running.get(id)?.size ?? 0) >= AT_ONCE;
      return isFull ? Math.max(due, now + LEASE) : due;
    });
    const filing = this.#isFiled ? this.unfiled.nextDue(now) : Infinity;
    return Math.min(this.endpoints.nextExpiry(), filing, ...dues);
  }

  /** What a try has led to. What was erased, discarded or removed meanwhile leaves no trace. */
  settle({ delivery: tried }: Begun, result: PostResult, { began, now }: Times): Parked[] {
    const delivery = this.deliveries.find(tried.id);
    const endpoint = this.endpoints.find(tried.endpoint);
    if (delivery === undefined || endpoint === undefined) return [];
    const { status, error, retryAfter } = result;
    const attempt = tried.attempts;
    const log = (outcome: NewLogEntry["outcome"]) =>
      this.log.append({
        ...aboutOf(delivery),
        ...{ attempt, outcome, status, error, at: began, duration: now - began },
      });
    if (error === null) {
      this.deliveries.remove(delivery, now);
      log("delivered");
      return [];
    }
    log("failed");
    if (status === 410) return this.disable(endpoint, "It answered 410 Gone", now);
    if (delivery.state === "parked") return [];
    if (now - delivery.since >= EXHAUSTED_AFTER) {
      return [this.#park(endpoint, delivery, `Tried for 24 hours. ${error}`, now)];
    }
    this.deliveries.putOff(delivery.id, now + Math.max(backoff(attempt), retryAfter ?? 0), error);
    return [];
  }

  /** What waits is parked, so that nobody takes it for on its way. */
  disable(endpoint: Endpoint, reason: string, now: number): Parked[] {
    if (!endpoint.isEnabled) return [];
    this.endpoints.setReason(endpoint.id, reason);
    const parked = this.deliveries.parkAll(endpoint.id, `The endpoint was disabled: ${reason}`);
    for (const { position } of parked) this.#toBeFiled(position, now);
    return parked.map((delivery) => ({ delivery, endpoint }));
  }

  /** @throws ProblemError not-found, operation-not-possible where the endpoint is disabled */
  retry(id: string, of: string | undefined, now: number): DeliveryState {
    const delivery = this.#delivery(id, of);
    if (!("state" in delivery)) return delivery;
    const endpoint = this.endpoint(delivery.endpoint);
    if (!endpoint.isEnabled) {
      throw refusal(
        "operation-not-possible",
        `The endpoint ${endpoint.id} is disabled (${endpoint.reason}). Enable it first.`,
      );
    }
    if (delivery.state === "parked") this.deliveries.unpark(delivery, now);
    return { id, endpoint: endpoint.id, status: "waiting" };
  }

  /** @throws ProblemError not-found */
  discard(id: string, of: string | undefined, now: number): DeliveryState {
    const delivery = this.#delivery(id, of);
    if (!("state" in delivery)) return delivery;
    this.deliveries.remove(delivery, now);
    this.log.append({ ...aboutOf(delivery), ...noTry(delivery, now), outcome: "discarded" });
    return { id, endpoint: delivery.endpoint, status: "discarded" };
  }

  /** A delivery, or how it ended. */
  #delivery(id: string, of: string | undefined): Delivery | DeliveryState {
    const found = this.#isThere ? this.deliveries.find(id) : undefined;
    if (found !== undefined && (of ?? found.endpoint) === found.endpoint) return found;
    const end = this.#isThere ? this.log.endOf(id) : undefined;
    if (end !== undefined && (of ?? end.endpoint) === end.endpoint) {
      return { id, endpoint: end.endpoint, status: end.outcome };
    }
    throw refusal("not-found", `There is no delivery "${id.slice(0, 100)}" here.`);
  }

  #park(endpoint: Endpoint, delivery: Delivery, error: string, now: number): Parked {
    this.deliveries.park(delivery, error, now);
    this.#toBeFiled(delivery.position, now);
    this.log.append({ ...aboutOf(delivery), ...noTry(delivery, now), outcome: "parked", error });
    return { endpoint, delivery: { ...delivery, state: "parked", due: null, error } };
  }

  #toBeFiled(position: number, now: number): void {
    if (this.#isFiled) this.unfiled.add(position, now);
  }

  viewOf(endpoint: Endpoint, now: number): EndpointView {
    const { id, url, types, description, isEnabled, reason, createdAt } = endpoint;
    const [, ...older] = this.endpoints.keysOf(id, now);
    return {
      ...{ id, url, types, description },
      status: isEnabled ? "enabled" : "disabled",
      reason,
      createdAt: timeOf(createdAt),
      olderKeysUntil: older.map(({ until }) => timeOf(until!)),
      waiting: this.deliveries.count(id, "waiting"),
      parked: this.deliveries.count(id, "parked"),
    };
  }
}

/** A try that has begun. */
export interface Begun {
  delivery: Delivery;
  endpoint: Endpoint;
  /** As they are stored: they are opened when the delivery is signed. */
  keys: string[];
}

/** Milliseconds since the epoch. */
interface Times {
  began: number;
  now: number;
}

export function deliveryView(delivery: Delivery): DeliveryView {
  const { id, endpoint, source, message, type, subject, state, attempts, due, error } = delivery;
  return {
    ...{ id, endpoint, attempts, error },
    event: { source, id: message, type, subject },
    status: state,
    createdAt: timeOf(delivery.createdAt),
    nextTryAt: due === null ? null : timeOf(due),
  };
}

const timeOf = (milliseconds: number): string => new Date(milliseconds).toISOString();

const aboutOf = ({ id, endpoint, type, subject }: Delivery) => ({
  ...{ delivery: id, endpoint, type, subject },
});

const noTry = ({ attempts, error }: Delivery, now: number) => ({
  ...{ attempt: attempts, status: null, duration: null, error, at: now },
});
