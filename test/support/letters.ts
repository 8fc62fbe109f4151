import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import type { Letter, ListedLetter } from "../../src/dead-letters/letters.ts";
import { call, tokenFor } from "./client.ts";
import app from "./worker.ts";

export const undertakerOf = (tenant: string): Caller => ({
  ...{ tenant, subject: "ursula", roles: [], scopes: ["dead-letters"] },
});
export const freshTenant = () => `t-${crypto.randomUUID()}`;

export const envelope = (tenant: string, attributes: object = {}) => ({
  tenant,
  event: {
    ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/orders/o-1", type: "MAKE_PIZZA" },
    ...{ subject: "orders/o-1", data: { items: [] } },
    ...attributes,
  },
});

/** Lets messages arrive in a dead-letter queue. */
export async function die(
  bodies: unknown[],
  queue = "kitchen-dead",
  ids: string[] = [],
): Promise<void> {
  const messages = bodies.map((body, index) => ({
    ...{ id: ids[index] ?? crypto.randomUUID(), timestamp: new Date(), attempts: 3, body },
  }));
  const batch = createMessageBatch(queue, messages);
  const context = createExecutionContext();
  await app.queue(batch, env);
  const { explicitAcks } = await getQueueResult(batch, context);
  expect(explicitAcks).toHaveLength(bodies.length);
}

export const list = async (tenant: string, query = "") =>
  (
    await call<{ letters: ListedLetter[] }>("GET", `/dead-letters${query}`, {
      as: undertakerOf(tenant),
    })
  ).body.letters;
export const read = (tenant: string, id: string) =>
  call<Letter>("GET", `/dead-letters/${id}`, { as: undertakerOf(tenant) });

/** Asks with a kitchen queue that notes what it is given, and may fail. */
export async function redrive(
  tenant: string,
  id: string,
  sent: unknown[],
  send?: () => Promise<void>,
) {
  const KITCHEN_QUEUE = {
    send: async (body: unknown) => {
      await send?.();
      sent.push(body);
    },
  };
  const headers = { Authorization: `Bearer ${await tokenFor(undertakerOf(tenant))}` };
  const url = `https://durachart.test/dead-letters/${id}/redrive`;
  const response = await app.fetch(new Request(url, { method: "POST", headers }), {
    ...env,
    KITCHEN_QUEUE,
  } as never);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
