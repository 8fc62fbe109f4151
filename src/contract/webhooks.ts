import { nameOf } from "./address.ts";
import { anybodysObject, objectIn } from "./objects.ts";
import { refusal, type Problem } from "./problem.ts";
import type { Realm, Whose } from "./realm.ts";

/** Whose webhooks: one object a tenant, and a jurisdiction's are another object. */
export type WebhookScope = Whose;

/** The object's name. Each part is percent-encoded, so that no two scopes share one. */
export function webhooksName({ tenant, jurisdiction }: WebhookScope): string {
  return nameOf(tenant, jurisdiction ?? "");
}

/** What somebody registers. */
export interface EndpointRequest {
  url: string;
  /** The event types it takes, `order.*` for all that begin so; all where it is left out. */
  types?: readonly string[] | undefined;
  description?: string | undefined;
}

/** An endpoint as its owner sees it. Times are ISO 8601. */
export interface EndpointView {
  id: string;
  url: string;
  types: readonly string[] | null;
  description: string | null;
  status: "enabled" | "disabled";
  /** Why it is disabled. */
  reason: string | null;
  createdAt: string;
  /** Until when each older key signs as well; its length is how many there are. */
  olderKeysUntil: string[];
  waiting: number;
  parked: number;
}

/** An endpoint with its newest key, which is shown when it is made and never again. */
export type EndpointWithSecret = EndpointView & { secret: string };

/** What waits to be delivered, or is parked for a person. Times are ISO 8601. */
export interface DeliveryView {
  /** The `webhook-id` that the receiver is shown. */
  id: string;
  endpoint: string;
  /** The CloudEvent's. */
  event: { source: string; id: string; type: string; subject: string };
  status: "waiting" | "parked";
  /** Tries so far. */
  attempts: number;
  createdAt: string;
  /** When it is tried next; null where it is parked, or waits for an earlier one of its subject. */
  nextTryAt: string | null;
  error: string | null;
}

/** One try, or what else became of a delivery. Payloads are not kept. */
export interface DeliveryLogEntry {
  /** Where in the log: 1, 2, 3 …, over all endpoints. */
  position: number;
  delivery: string;
  type: string;
  subject: string;
  at: string;
  attempt: number;
  outcome: "delivered" | "failed" | "parked" | "discarded";
  /** The receiver's HTTP status; null where there was no answer. */
  status: number | null;
  /** Milliseconds that the try took; null where none was made. */
  duration: number | null;
  error: string | null;
}

export interface DeliveriesView {
  log: DeliveryLogEntry[];
  /** The oldest of them; the endpoint's own view says how many there are. */
  waiting: DeliveryView[];
  parked: DeliveryView[];
}

/** Problems travel as data, since an error's class doesn't survive RPC. */
export type WebhookReply<Value> = { ok: true; value: Value } | { ok: false; problem: Problem };

/** The object as the Worker and the instances call it. Each call says whose it takes the object to be. */
export interface WebhooksCalls {
  /** Seals its keys by the deployment's current one, whoever's they are. */
  wake(): Promise<void>;
  /** @param event JSON of the CloudEvent. Resolves when every endpoint's delivery is committed. */
  receive(scope: WebhookScope, event: string): Promise<void>;
  register(
    scope: WebhookScope,
    request: EndpointRequest,
  ): Promise<WebhookReply<EndpointWithSecret>>;
  endpoints(scope: WebhookScope): Promise<EndpointView[]>;
  endpoint(scope: WebhookScope, id: string): Promise<WebhookReply<EndpointView>>;
  remove(scope: WebhookScope, id: string): Promise<WebhookReply<null>>;
  /** @param hours for which the keys there are go on signing */
  rotate(scope: WebhookScope, id: string, hours: number): Promise<WebhookReply<EndpointWithSecret>>;
  enable(scope: WebhookScope, id: string): Promise<WebhookReply<EndpointView>>;
  disable(scope: WebhookScope, id: string): Promise<WebhookReply<EndpointView>>;
  deliveries(
    scope: WebhookScope,
    id: string,
    page: { after: number; limit: number },
  ): Promise<WebhookReply<DeliveriesView>>;
  parked(scope: WebhookScope): Promise<DeliveryView[]>;
  /** Sends a parked one again: once, however often it is asked. */
  retry(
    scope: WebhookScope,
    delivery: string,
    endpoint?: string,
  ): Promise<WebhookReply<DeliveryState>>;
  discard(
    scope: WebhookScope,
    delivery: string,
    endpoint?: string,
  ): Promise<WebhookReply<DeliveryState>>;
  /** Forgets all about an instance. @param subject `{workflow}/{id}` */
  eraseSubject(scope: WebhookScope, subject: string): Promise<void>;
}

export interface DeliveryState {
  id: string;
  endpoint: string;
  status: "waiting" | "delivered" | "discarded";
}

/**
 * Has somebody's object seal its keys by the deployment's current one.
 *
 * @param object its id
 * @throws ProblemError not-configured where the deployment binds none
 */
export async function wakeWebhooks(
  env: unknown,
  object: string,
  jurisdiction: string | null,
): Promise<void> {
  const { WEBHOOKS } = (env ?? {}) as { WEBHOOKS?: DurableObjectNamespace };
  if (WEBHOOKS === undefined) throw refusal("not-configured", "WEBHOOKS is not bound.");
  await (anybodysObject(WEBHOOKS, object, jurisdiction) as unknown as WebhooksCalls).wake();
}

/**
 * Finds a tenant's object; undefined where the deployment binds none.
 *
 * @throws ProblemError as `objectIn` does
 */
export function webhooksOf(env: unknown, realm: Realm): WebhooksCalls | undefined {
  const { WEBHOOKS } = (env ?? {}) as { WEBHOOKS?: DurableObjectNamespace };
  if (WEBHOOKS === undefined) return undefined;
  return objectIn(WEBHOOKS, realm, realm.jurisdiction ?? "") as unknown as WebhooksCalls;
}
