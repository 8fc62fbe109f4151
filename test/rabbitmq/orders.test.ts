import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import type { JournalEntry, View } from "../../src/index.ts";
import { startBroker, type TestBroker } from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";

/** The shop itself, while its broker comes and goes. */
let broker: TestBroker;
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
let staff = "";

beforeAll(async () => {
  broker = await startBroker();
  const secrets = makeSecrets();
  // Nobody has declared the topology: the pools do.
  fleet = await startEphemeralFleet(secrets, { RABBITMQ_URL: broker.url });
  staff = await mintToken(secrets, { subject: "s", roles: ["service", "operator"] }, "1h");
});

afterAll(async () => {
  await fleet.close();
  await broker.remove();
});

async function call<Body>(method: string, path: string, body?: object) {
  const response = await fetch(new URL(path, fleet.url), {
    method,
    headers: { Authorization: `Bearer ${staff}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Body };
}

async function confirmOrder(id: string): Promise<void> {
  const data = { id: "p1", pizza: "mango-tango" };
  await call("POST", "/orders", { id, event: { type: "ADD_PIZZA", data } });
  await call("POST", `/orders/${id}/events`, { type: "CONFIRM_PIZZA" });
}

/** Finishes whatever comes until all are finished. @returns which order each job was about */
async function finishAll(station: string, ids: readonly string[]): Promise<string[]> {
  const finished: string[] = [];
  await eventually(
    async () => {
      const { status, body } = await call<{ order: string }>("POST", `/${station}/finish-next`);
      if (status === 200) finished.push(body.order.replace("orders/", ""));
      return finished.length;
    },
    (count) => count >= ids.length,
    90_000,
  );
  return finished;
}

describe.each([
  ["stopped", () => broker.stop()],
  ["killed", () => broker.kill()],
])("orders whose broker is %s while they run", (name, end) => {
  it("come to their end, each with one job in the kitchen and one with the courier", async () => {
    const ids = Array.from({ length: 10 }, (_, index) => `${name}-${index}`);
    for (const id of ids.slice(0, 5)) await confirmOrder(id);
    await end();
    for (const id of ids.slice(5)) await confirmOrder(id);
    await broker.start();
    expect((await finishAll("kitchen", ids)).toSorted()).toEqual(ids.toSorted());
    expect((await finishAll("delivery", ids)).toSorted()).toEqual(ids.toSorted());
    for (const id of ids) {
      const { body: order } = await eventually(
        () => call<View>("GET", `/orders/${id}`),
        ({ body }) => body.state === "delivered",
        60_000,
      );
      expect(order.incidents).toEqual([]);
      const path = `/orders/${id}/history`;
      const { body } = await call<{ entries: JournalEntry[] }>("GET", path);
      const reports = body.entries.filter(({ event }) => event.type.startsWith("PIZZA_"));
      expect(reports.map(({ event, outcome }) => `${event.type} ${outcome}`)).toEqual([
        "PIZZA_READY applied",
        "PIZZA_DELIVERED applied",
      ]);
    }
    for (const station of ["kitchen", "delivery"]) {
      const { body } = await call<{ pending: object[] }>("GET", `/${station}/pending`);
      expect(body.pending).toEqual([]);
    }
  });
});
