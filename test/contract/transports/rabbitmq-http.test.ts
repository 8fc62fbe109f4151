import { vi } from "vitest";
import { otherSide, Refused, tryOf } from "../other-side.ts";
import { instanceOutbox } from "../outboxes.ts";
import { transportContract } from "../suite.ts";

/** The API as its documentation has it: what it refuses it says by a status, what is lost breaks the call. */
async function api(_: unknown, init?: RequestInit): Promise<Response> {
  const { properties, payload } = JSON.parse(init!.body as string) as {
    properties: { headers: Record<string, string> };
    payload: string;
  };
  const { cloudEvents_source: source, cloudEvents_id: id } = properties.headers;
  try {
    const event = { source, id, data: JSON.parse(payload) as unknown };
    return await otherSide.pass(tryOf(event), () => Response.json({ routed: true }));
  } catch (error) {
    if (error instanceof Refused) return new Response(error.message, { status: 500 });
    throw error;
  }
}

transportContract({
  name: "RabbitMQ over its HTTP API",
  workflow: "by-rabbitmq-http",
  order: { isKept: false, because: "each is a request of its own, and the API promises nothing" },
  outbox: instanceOutbox,
  prepare: () => {
    vi.spyOn(globalThis, "fetch").mockImplementation(api);
    return Promise.resolve();
  },
  origin: /^instance:by-rabbitmq-http\//,
  sixteen: "of an instance",
});
