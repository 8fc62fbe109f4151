import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEphemeralFleet } from "../../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../../src/cli/secrets.ts";
import type {
  DeliveriesView,
  EndpointView,
  EndpointWithSecret,
} from "../../../src/contract/webhooks.ts";
import { WebhookSink, type Arrival } from "../../support/webhook-sink.ts";

/** The whole shop in the local runtime, and a receiver of webhooks outside of it. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
const sink = new WebhookSink();
const secrets = makeSecrets();
let origin = "";
let token = "";

beforeAll(async () => {
  origin = await sink.listen();
  secrets.variables["WEBHOOK_LOCAL_TARGETS"] = origin;
  fleet = await startEphemeralFleet(secrets);
  token = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
});

afterAll(async () => {
  sink.close();
  await fleet.close();
});

async function call<Body>(method: string, path: string, body?: unknown) {
  const response = await fetch(new URL(path, fleet.url).href, {
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

async function eventually<Value>(
  look: () => Value | Promise<Value>,
  isThere: (value: Value) => boolean,
) {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (performance.now() > deadline) throw new Error(`It never came: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

let paths = 0;

/** Registers a path of the sink that no other test uses. */
async function register(types?: string[]) {
  const path = `/receiver-${(paths += 1)}`;
  const request = { url: `${origin}${path}`, ...(types === undefined ? {} : { types }) };
  const { status, body } = await call<EndpointWithSecret>("POST", "/webhooks", request);
  expect(status).toBe(201);
  return { path, ...body };
}

const show = async (id: string) => (await call<EndpointView>("GET", `/webhooks/${id}`)).body;
const deliveries = async (id: string) =>
  (await call<DeliveriesView>("GET", `/webhooks/${id}/deliveries`)).body;

/** An order that is confirmed and cancelled: two events, in this order. */
async function order(): Promise<string> {
  const id = `hook-${crypto.randomUUID()}`;
  const event = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
  await call("POST", "/orders", { id, event });
  await call("POST", `/orders/${id}/events`, { type: "CONFIRM_PIZZA" });
  await call("POST", `/orders/${id}/events`, { type: "CANCEL_ORDER" });
  return id;
}

const eventOf = ({ body }: Arrival) =>
  JSON.parse(body) as { type: string; subject: string; id: string };
const about = (path: string, id: string) =>
  sink.at(path).filter((arrival) => eventOf(arrival).subject === `orders/${id}`);
const typesOf = (arrivals: Arrival[]) => arrivals.map((arrival) => eventOf(arrival).type);
const both = ["order.confirmed", "order.cancelled"];

describe("an order's events", () => {
  it("come signed as CloudEvents, in their order, each under an id of its own", async () => {
    const endpoint = await register();
    const id = await order();
    const came = await eventually(
      () => about(endpoint.path, id),
      ({ length }) => length === 2,
    );
    expect(typesOf(came)).toEqual(both);
    for (const { headers, body } of came) {
      expect(() => new Webhook(endpoint.secret).verify(body, headers)).not.toThrow();
      expect(headers["content-type"]).toMatch(/^application\/cloudevents\+json/);
      expect(eventOf({ path: "", headers, body })).toMatchObject({
        specversion: "1.0",
        source: `/orders/${id}`,
      });
    }
    expect(new Set(came.map(({ headers }) => headers["webhook-id"])).size).toBe(2);
    const { log, waiting, parked } = await eventually(
      () => deliveries(endpoint.id),
      ({ log }) => log.length === 2,
    );
    expect(
      log.map(({ type, outcome, status, attempt }) => ({ type, outcome, status, attempt })),
    ).toEqual(both.map((type) => ({ type, outcome: "delivered", status: 200, attempt: 1 })));
    expect({ waiting, parked }).toEqual({ waiting: [], parked: [] });
    expect(JSON.stringify(await show(endpoint.id))).not.toContain("whsec_");
  });

  it("come as far as an endpoint asked for their types", async () => {
    const [some, none] = [await register(["order.canc*"]), await register(["payment.*"])];
    const id = await order();
    expect(
      typesOf(
        await eventually(
          () => about(some.path, id),
          ({ length }) => length > 0,
        ),
      ),
    ).toEqual(["order.cancelled"]);
    expect(await deliveries(none.id)).toEqual({ log: [], waiting: [], parked: [] });
  });

  it("come again under the same id, and those behind wait, when one fails or its answer is lost", async () => {
    for (const behaviour of [{ status: 500, body: "out of order" }, "cut"] as const) {
      const endpoint = await register();
      sink.answer(endpoint.path, behaviour);
      const id = await order();
      await eventually(
        () => about(endpoint.path, id),
        ({ length }) => length >= 2,
      );
      expect(new Set(typesOf(about(endpoint.path, id)))).toEqual(new Set(["order.confirmed"]));
      sink.answer(endpoint.path, { status: 204 });
      const came = await eventually(
        () => about(endpoint.path, id),
        (all) => typesOf(all).includes("order.cancelled"),
      );
      const firsts = came.filter((arrival) => eventOf(arrival).type === "order.confirmed");
      expect(new Set(firsts.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
      const { log } = await eventually(
        () => deliveries(endpoint.id),
        ({ log }) => log.filter(({ outcome }) => outcome === "delivered").length === 2,
      );
      expect(log[0]).toMatchObject({ outcome: "failed", attempt: 1 });
      expect(log.at(-1)).toMatchObject({
        outcome: "delivered",
        type: "order.cancelled",
        attempt: 1,
      });
      if (behaviour !== "cut") expect(log[0]!.error).toContain("500: out of order");
    }
  });

  it("disable an endpoint that is gone, and are parked; enabled again, they are sent again, once", async () => {
    const endpoint = await register();
    sink.answer(endpoint.path, { status: 410 });
    const id = await order();
    await eventually(
      () => show(endpoint.id),
      ({ status }) => status === "disabled",
    );
    expect(await show(endpoint.id)).toMatchObject({ reason: "It answered 410 Gone" });
    const parked = await eventually(
      () => deliveries(endpoint.id),
      (all) => all.waiting.length === 0,
    );
    const [first] = parked.parked;
    expect(first).toMatchObject({ status: "parked", event: { type: "order.confirmed" } });
    expect(first!.error).toContain("410");
    const before = sink.at(endpoint.path).length;
    const retry = `/webhooks/${endpoint.id}/deliveries/${first!.id}/retry`;
    expect((await call("POST", retry)).status).toBe(409);

    // Nothing comes meanwhile.
    await order();
    expect(sink.at(endpoint.path)).toHaveLength(before);
    sink.answer(endpoint.path, { status: 200 });
    expect((await call("POST", `/webhooks/${endpoint.id}/enable`)).status).toBe(200);
    const asked = await Promise.all([1, 2, 3].map(() => call<{ status: string }>("POST", retry)));
    expect(asked.map(({ status }) => status)).toEqual([200, 200, 200]);
    await eventually(
      () => deliveries(endpoint.id),
      ({ log }) => log.some(({ outcome }) => outcome === "delivered"),
    );
    expect(await call("POST", retry)).toMatchObject({ status: 200, body: { status: "delivered" } });
    expect(sink.at(endpoint.path)).toHaveLength(before + 1);
    expect(about(endpoint.path, id).at(-1)!.headers["webhook-id"]).toBe(first!.id);
  });

  it("reach everybody else while an endpoint hangs, and other orders while one of it does", async () => {
    const [hangs, works] = [
      await register(["order.confirmed"]),
      await register(["order.confirmed"]),
    ];
    sink.answer(hangs.path, "hang");
    const ids = await Promise.all(Array.from({ length: 20 }, order));
    await eventually(
      () => sink.at(works.path),
      ({ length }) => length === 20,
    );
    // Sixteen hang; the others wait for a place.
    await eventually(
      () => sink.open.get(hangs.path),
      (open) => open === 16,
    );
    expect(sink.most.get(hangs.path)).toBe(16);
    expect((await show(hangs.id)).waiting).toBe(20);
    sink.answer(hangs.path, { status: 200 });
    sink.release();
    await eventually(
      () => show(hangs.id),
      ({ waiting }) => waiting === 0,
    );
    const subjects = new Set(sink.at(hangs.path).map((arrival) => eventOf(arrival).subject));
    expect(subjects).toEqual(new Set(ids.map((id) => `orders/${id}`)));

    sink.answer(hangs.path, "hang");
    const stuck = await order();
    await eventually(
      () => about(hangs.path, stuck),
      ({ length }) => length === 1,
    );
    sink.answer(hangs.path, { status: 200 });
    const other = await order();
    await eventually(
      () => about(hangs.path, other),
      ({ length }) => length === 1,
    );
    expect((await show(hangs.id)).waiting).toBe(1);
    sink.release();
  });

  it("time out where no answer comes", async () => {
    const endpoint = await register(["order.confirmed"]);
    sink.answer(endpoint.path, "hang");
    await order();
    const { log } = await eventually(
      () => deliveries(endpoint.id),
      ({ log }) => log.length > 0,
    );
    expect(log[0]).toMatchObject({ outcome: "failed", status: null });
    expect(log[0]!.error).toContain("no answer within 15 s");
    sink.release();
  });
});

describe("a payment", () => {
  it("is told of by its provider, and tells who asked for it", async () => {
    const endpoint = await register(["payment.*"]);
    const id = `payment-${crypto.randomUUID()}`;
    const due = { amount: 1_190, currency: "EUR" };
    await call("POST", "/payments", { id, input: { purpose: "orders/o-1", due } });
    const callback = {
      id: `evt-${id}`,
      type: "payment.captured",
      data: { reference: id, amount: 1_190, currency: "eur" },
    };
    const post = async (body: string, secret: string) => {
      const time = Math.floor(Date.now() / 1_000);
      const mac = createHmac("sha256", secret).update(`${time}.${body}`).digest("hex");
      const headers = { "Payment-Signature": `t=${time},v1=${mac}` };
      const url = new URL("/hooks/payments", fleet.url).href;
      const response = await fetch(url, { method: "POST", headers, body });
      return { status: response.status, body: await response.json() };
    };
    const body = JSON.stringify(callback);
    expect((await post(body, "somebody else's secret")).status).toBe(401);
    const answered = await post(body, secrets.paymentSecret);
    expect(answered).toEqual({ status: 200, body: { outcome: "applied" } });
    const again = await post(body, secrets.paymentSecret);
    expect(again).toEqual({ status: 200, body: { outcome: "duplicate" } });
    const [came] = await eventually(
      () => sink.at(endpoint.path),
      ({ length }) => length > 0,
    );
    expect(JSON.parse(came!.body)).toMatchObject({
      type: "payment.captured",
      subject: `payments/${id}`,
      data: { purpose: "orders/o-1", captured: 1_190 },
    });
    const { log } = await eventually(
      () => deliveries(endpoint.id),
      ({ log }) => log.length > 0,
    );
    expect(log).toHaveLength(1);
  });
});

describe("a key that is rotated", () => {
  it("signs beside the new one, and not after its hours", async () => {
    const endpoint = await register(["order.confirmed"]);
    const rotated = await call<EndpointWithSecret>("POST", `/webhooks/${endpoint.id}/rotate`, {
      hours: 1,
    });
    expect(rotated.body.olderKeysUntil).toHaveLength(1);
    let id = await order();
    const [first] = await eventually(
      () => about(endpoint.path, id),
      ({ length }) => length === 1,
    );
    for (const secret of [endpoint.secret, rotated.body.secret]) {
      expect(() => new Webhook(secret).verify(first!.body, first!.headers)).not.toThrow();
    }
    const now = await call<EndpointWithSecret>("POST", `/webhooks/${endpoint.id}/rotate`, {
      hours: 0,
    });
    id = await order();
    const [second] = await eventually(
      () => about(endpoint.path, id),
      ({ length }) => length === 1,
    );
    expect(() => new Webhook(now.body.secret).verify(second!.body, second!.headers)).not.toThrow();
    for (const secret of [endpoint.secret, rotated.body.secret]) {
      expect(() => new Webhook(secret).verify(second!.body, second!.headers)).toThrow();
    }
  });
});
