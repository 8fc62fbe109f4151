import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Caller } from "../../src/contract/caller.ts";
import {
  webhooksName,
  type DeliveriesView,
  type EndpointWithSecret,
  type WebhooksCalls,
} from "../../src/contract/webhooks.ts";
import { call, freshId, operator } from "./client.ts";
import { remoteSink } from "./remote-sink.ts";

/** An operator of a tenant that no other test has. */
export function stranger(): Caller {
  return { ...operator, tenant: freshId() };
}

export const objectOf = ({ tenant }: Caller) => env.WEBHOOKS.getByName(webhooksName({ tenant }));

/** Registers a path of the receiver's. */
export async function register(as: Caller, types?: string[]) {
  const path = `/${freshId()}`;
  const request = { url: remoteSink.url(path), ...(types === undefined ? {} : { types }) };
  const { status, body } = await call<EndpointWithSecret>("POST", "/webhooks", {
    ...{ as, body: request },
  });
  if (status !== 201) throw new Error(JSON.stringify(body));
  return { path, ...body };
}

/** Brings an event to the tenant's object, as an instance's outbox does. */
export async function receive(as: Caller, subject: string, id: string = freshId()): Promise<void> {
  const event = { specversion: "1.0", id, source: `/${subject}`, type: "order.baked", subject };
  const calls = objectOf(as) as unknown as WebhooksCalls;
  await calls.receive({ tenant: as.tenant }, JSON.stringify(event));
}

export const deliveries = async (as: Caller, id: string): Promise<DeliveriesView> =>
  (await call<DeliveriesView>("GET", `/webhooks/${id}/deliveries?limit=1000`, { as })).body;

export const alarmOf = (as: Caller) =>
  runInDurableObject(objectOf(as), (_, { storage }) => storage.getAlarm());

export const ring = (as: Caller) => runDurableObjectAlarm(objectOf(as));

/** A statement on the object's tables. */
export const query = (as: Caller, statement: string, ...parameters: (string | number)[]) =>
  runInDurableObject(objectOf(as), (_, { storage }) =>
    storage.sql.exec(statement, ...parameters).toArray(),
  );
