import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { DeliveriesView, EndpointView } from "../../src/contract/webhooks.ts";
import { webhooksName } from "../../src/contract/webhooks.ts";
import type { View } from "../../src/index.ts";
import { call, operator, stubOf } from "../support/client.ts";
import type { Kept, Outbox, Place } from "./harness.ts";

async function crash(stub: DurableObjectStub): Promise<void> {
  await runInDurableObject(stub, (_, context) => {
    context.abort("crash");
  }).catch(() => {});
}

const instanceOf = ({ tenant, workflow, sender }: Place) => stubOf(workflow, sender, tenant);
const webhooksOf = ({ tenant }: Place) => env.WEBHOOKS.getByName(webhooksName({ tenant }));

/** Every instance's own. */
export const instanceOutbox: Outbox = {
  kept: (place) =>
    runInDurableObject(instanceOf(place), (_, { storage }) =>
      storage.sql
        .exec<{ attempt: number; due: number; status: string }>(
          "SELECT attempt, due, status FROM effects ORDER BY key",
        )
        .toArray()
        .map(({ attempt, due, status }): Kept => {
          const isParked = status === "parked";
          return { attempt, due: isParked ? null : due, isParked };
        }),
    ),
  ring: (place) => runDurableObjectAlarm(instanceOf(place)),
  crash: (place) => crash(instanceOf(place)),
  shown: async ({ tenant, workflow, sender }) => {
    const as = { ...operator, tenant };
    const { body } = await call<View>("GET", `/${workflow}/${sender}`, { as });
    return body.incidents.filter(({ kind }) => kind === "exhausted").map(({ error }) => error!);
  },
};

/** A tenant's webhooks: one object for all its instances. */
export const webhooksOutbox: Outbox = {
  kept: (place) =>
    runInDurableObject(webhooksOf(place), (_, { storage }) =>
      storage.sql
        .exec<{ attempts: number; due: number | null; state: string }>(
          "SELECT attempts, due, state FROM deliveries WHERE subject = ? ORDER BY position",
          `${place.workflow}/${place.sender}`,
        )
        .toArray()
        .map(({ attempts, due, state }) => ({
          ...{ attempt: attempts, due, isParked: state === "parked" },
        })),
    ),
  ring: (place) => runDurableObjectAlarm(webhooksOf(place)),
  crash: (place) => crash(webhooksOf(place)),
  shown: async ({ tenant }) => {
    const as = { ...operator, tenant };
    const { body } = await call<{ endpoints: EndpointView[] }>("GET", "/webhooks", { as });
    const pages = await Promise.all(
      body.endpoints.map(({ id }) =>
        call<DeliveriesView>("GET", `/webhooks/${id}/deliveries`, { as }),
      ),
    );
    return pages.flatMap(({ body: { parked } }) => parked.map(({ error }) => error ?? ""));
  },
};
