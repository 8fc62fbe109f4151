import { vi } from "vitest";
import { call, operator } from "../../support/client.ts";
import { otherSide, Refused, tryOf } from "../other-side.ts";
import { instanceOutbox, webhooksOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

async function endpoint(_: unknown, init?: RequestInit): Promise<Response> {
  const { "webhook-id": id } = init!.headers as Record<string, string>;
  try {
    const event = JSON.parse(init!.body as string) as object;
    return await otherSide.pass(tryOf(event, id), () => new Response(null, { status: 204 }));
  } catch (error) {
    if (error instanceof Refused) return new Response(error.message, { status: 500 });
    throw error;
  }
}

transportContract({
  name: "webhooks, from the tenant's object to the endpoints",
  workflow: "by-webhooks",
  order: { isKept: true, because: "at each endpoint an instance's go one at a time" },
  before: [instanceOutbox],
  outbox: webhooksOutbox,
  prepare: async (tenant, lanes) => {
    vi.spyOn(globalThis, "fetch").mockImplementation(endpoint);
    for (let lane = 0; lane < lanes; lane++) {
      const body = { url: `https://receiver.example/${lane}`, types: [`to.${lane}`] };
      const answer = await call("POST", "/webhooks", { as: { ...operator, tenant }, body });
      if (answer.status !== 201) throw new Error(JSON.stringify(answer.body));
    }
  },
  origin: /^webhook:ep_/,
  sixteen: "at a destination",
});
