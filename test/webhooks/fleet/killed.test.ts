import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSecrets, mintToken } from "../../../src/cli/secrets.ts";
import type { DeliveriesView, EndpointWithSecret } from "../../../src/contract/webhooks.ts";
import { Killable } from "../../support/killable.ts";
import { WebhookSink } from "../../support/webhook-sink.ts";

/** The runtime itself, without anything of wrangler's between it and the receiver. */
const runtime = new Killable();
const sink = new WebhookSink();
let origin = "";
let token = "";

beforeAll(async () => {
  origin = await sink.listen();
  const secrets = makeSecrets();
  token = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
  await runtime.start({ ...secrets.variables, WEBHOOK_LOCAL_TARGETS: origin });
});

afterAll(async () => {
  sink.close();
  await runtime.remove();
});

async function call<Body>(method: string, path: string, body?: unknown) {
  const response = await fetch(`${runtime.url}${path}`, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as Body };
}

async function register(path: string): Promise<EndpointWithSecret> {
  const request = { url: `${origin}${path}`, types: ["order.confirmed"] };
  return (await call<EndpointWithSecret>("POST", "/webhooks", request)).body;
}

const deliveries = async (id: string) =>
  (await call<DeliveriesView>("GET", `/webhooks/${id}/deliveries`)).body;

async function confirm(id: string): Promise<void> {
  const event = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
  await call("POST", "/orders", { id, event });
  await call("POST", `/orders/${id}/events`, { type: "CONFIRM_PIZZA" });
}

const long = { timeout: 40_000, interval: 50 };

describe("a runtime that is killed", () => {
  it("between taking an event and delivering it delivers it when it is back, in its order", async () => {
    const endpoint = await register("/killed");
    sink.answer("/killed", "hang");
    await confirm("k-1");
    await expect.poll(() => sink.at("/killed").length, long).toBe(1);
    expect((await deliveries(endpoint.id)).waiting).toHaveLength(1);
    await runtime.kill();
    sink.answer("/killed", { status: 200 });
    await runtime.restart();
    // Nobody touches it: its alarm takes over, when the lease of the try that was lost ends.
    await expect.poll(() => sink.at("/killed").length, long).toBe(2);
    const [lost, came] = sink.at("/killed");
    expect(came!.headers["webhook-id"]).toBe(lost!.headers["webhook-id"]);
    expect(came!.body).toBe(lost!.body);
    await expect
      .poll(async () => (await deliveries(endpoint.id)).log, long)
      .toMatchObject([{ outcome: "delivered", attempt: 2 }]);
    expect((await deliveries(endpoint.id)).waiting).toEqual([]);
  });

  it("after erasing an instance erases here too when it is back", async () => {
    const endpoint = await register("/erased");
    sink.answer("/erased", { status: 500 });
    await confirm("k-2");
    await expect
      .poll(async () => (await deliveries(endpoint.id)).log.length, long)
      .toBeGreaterThan(0);
    await call("POST", "/orders/k-2/terminate");
    const erased = call("POST", "/orders/k-2/erase", { force: true });
    await erased;
    await runtime.kill();
    await runtime.restart();
    const nothing = { log: [], waiting: [], parked: [] };
    await expect.poll(() => deliveries(endpoint.id), long).toEqual(nothing);
  });
});

describe("a redirect", () => {
  it("is not followed, wherever it leads", async () => {
    for (const [status, location] of [
      [301, `${origin}/private`],
      [307, "http://169.254.169.254/latest/meta-data"],
      [308, "/private"],
    ] as const) {
      const path = `/redirect-${status}`;
      const endpoint = await register(path);
      sink.answer(path, { status, headers: { Location: location } });
      await confirm(`r-${status}`);
      await expect
        .poll(async () => (await deliveries(endpoint.id)).log[0], long)
        .toMatchObject({
          ...{ outcome: "failed", status },
          error: `The endpoint answered ${status}, a redirect, not followed`,
        });
    }
    expect(sink.at("/private")).toEqual([]);
  });
});
