import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { signedContent } from "../../src/index.ts";
import { call, start, view } from "../support/client.ts";

interface Sending {
  headers: Record<string, string>;
  body: string;
}

const structured = (subject: string, attributes: object = {}): Sending => ({
  headers: { "Content-Type": "application/cloudevents+json" },
  body: JSON.stringify({
    specversion: "1.0",
    id: crypto.randomUUID(),
    source: "/kitchen",
    type: "COUNT",
    subject,
    ...attributes,
  }),
});

const binary = (subject: string, attributes: Record<string, string> = {}, body = ""): Sending => ({
  headers: {
    "Content-Type": "application/json",
    "ce-specversion": "1.0",
    "ce-id": crypto.randomUUID(),
    "ce-source": "/kitchen",
    "ce-type": "COUNT",
    "ce-subject": subject,
    ...attributes,
  },
  body,
});

/** Signs as a sender would, `at` in milliseconds. */
function signed(
  { headers, body }: Sending,
  at = Date.now(),
  secret = env.TEST_WEBHOOK_SECRET,
): Sending {
  const id = `msg_${crypto.randomUUID()}`;
  const content = signedContent(new Headers(headers), body);
  const signature = new Webhook(secret).sign(id, new Date(at), content);
  const timestamp = String(Math.floor(at / 1_000));
  return {
    body,
    headers: {
      ...headers,
      "webhook-id": id,
      "webhook-timestamp": timestamp,
      "webhook-signature": signature,
    },
  };
}

const post = (path: string, { headers, body }: Sending, as?: null) =>
  call("POST", path, { headers, body, ...(as === null ? { as } : {}) });
const webhook = (sending: Sending) => post("/events", sending, null);

/** Orders, whose kitchen's events a service may send. */
async function confirmedOrder(): Promise<string> {
  const id = await start("orders", { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } });
  await call("POST", `/orders/${id}/events`, { body: { type: "CONFIRM_PIZZA" } });
  return id;
}

describe("POST /events", () => {
  it.each([
    ["structured", (subject: string) => structured(subject, { type: "PIZZA_READY" })],
    ["binary", (subject: string) => binary(subject, { "ce-type": "PIZZA_READY" })],
    [
      "binary, with data",
      (subject: string) => binary(subject, { "ce-type": "PIZZA_FAILED" }, '{"reason":"cold"}'),
    ],
  ])("takes a signed CloudEvent, %s, once", async (_, make) => {
    const id = await confirmedOrder();
    const event = make(`orders/${id}`);
    const first = await webhook(signed(event));
    expect(first).toMatchObject({ status: 200, body: { id, outcome: "applied" } });
    const again = await webhook(signed(event));
    expect(again).toMatchObject({ status: 200, body: { outcome: "duplicate" } });
    expect(again.body["seq"]).toBeGreaterThanOrEqual(first.body["seq"] as number);
  });

  it("percent-decodes the attributes of binary mode", async () => {
    const id = await confirmedOrder();
    const event = binary(`orders%2F${id}`, { "ce-type": "PIZZA%5FREADY" });
    expect(await webhook(signed(event))).toMatchObject({ status: 200 });
  });

  it("tells the same event with other data apart", async () => {
    const id = await confirmedOrder();
    const attributes = { id: "e1", type: "PIZZA_FAILED" };
    const send = (reason: string) =>
      webhook(signed(structured(`orders/${id}`, { ...attributes, data: { reason } })));
    expect((await send("cold")).status).toBe(200);
    expect(await send("hot")).toMatchObject({ status: 409 });
  });

  it.each<[string, (sending: Sending) => Sending]>([
    ["unsigned", (sending) => sending],
    [
      "flipped in one byte",
      (sending) => {
        const { headers, body } = signed(sending);
        return { headers, body: body.replace("/kitchen", "/kitchem") };
      },
    ],
    ["six minutes old", (sending) => signed(sending, Date.now() - 6 * 60_000)],
    ["six minutes ahead", (sending) => signed(sending, Date.now() + 6 * 60_000)],
    [
      "signed with another key",
      (sending) => signed(sending, Date.now(), `whsec_${btoa("x".repeat(24))}`),
    ],
    [
      "without a version",
      (sending) => {
        const made = signed(sending);
        made.headers["webhook-signature"] = made.headers["webhook-signature"]!.replace("v1,", "");
        return made;
      },
    ],
  ])("refuses one that is %s", async (_, spoil) => {
    const id = await confirmedOrder();
    const { seq } = await view("orders", id);
    const spoilt = spoil(structured(`orders/${id}`, { type: "PIZZA_READY" }));
    expect(await webhook(spoilt)).toMatchObject({ status: 401 });
    expect((await view("orders", id)).state).not.toHaveProperty("deliverPizza");
    expect(seq).toBeGreaterThan(0);
  });

  it("refuses binary mode whose signed headers were exchanged", async () => {
    const id = await confirmedOrder();
    const good = signed(binary(`orders/${id}`, { "ce-type": "PIZZA_IN_OVEN" }));
    for (const [name, value] of Object.entries({
      "ce-type": "PIZZA_READY",
      "ce-subject": "orders/other",
      "ce-id": "another",
    })) {
      const exchanged = { ...good, headers: { ...good.headers, [name]: value } };
      expect(await webhook(exchanged)).toMatchObject({ status: 401 });
    }
    expect(await webhook(good)).toMatchObject({ status: 200 });
  });

  it("lets a service send what services may, no more", async () => {
    const id = await confirmedOrder();
    const event = structured(`orders/${id}`, { type: "CANCEL_ORDER" });
    expect(await webhook(signed(event))).toMatchObject({ status: 403 });
  });

  it.each<[string, string | null, object, number]>([
    ["of another version", null, { specversion: "0.3" }, 400],
    ["without a version", null, { specversion: undefined }, 400],
    ["without an id", null, { id: undefined }, 400],
    ["with an id that is no string", null, { id: 5 }, 400],
    ["without a source", null, { source: "" }, 400],
    ["without a type", null, { type: undefined }, 400],
    ["without a subject", null, { subject: undefined }, 400],
    ["with a subject of one part", "orders", {}, 400],
    ["with a subject of three parts", "orders/a/b", {}, 400],
    ["with a bad id in its subject", "orders/a b", {}, 400],
    ["of an unknown workflow", "pizzas/a", {}, 404],
    ["of an unknown order", "orders/unknown", { type: "PIZZA_READY" }, 404],
    ["with a bad time", null, { time: "yesterday" }, 400],
    ["with an internal type", null, { type: "xstate.stop" }, 422],
    ["with bad data", null, { type: "PIZZA_FAILED", data: { reason: 5 } }, 422],
    ["with binary data", null, { data_base64: "AAAA" }, 400],
  ])("refuses one %s", async (_, subject, attributes, status) => {
    const id = await confirmedOrder();
    const event = structured(subject ?? `orders/${id}`, { type: "PIZZA_READY", ...attributes });
    const answer = await webhook(signed(event));
    expect(answer).toMatchObject({ status, body: { status } });
    expect((await view("orders", id)).state).not.toHaveProperty("deliverPizza");
  });

  it("refuses batches and other formats", async () => {
    const batch = { headers: { "Content-Type": "application/cloudevents-batch+json" }, body: "[]" };
    expect(await webhook(signed(batch))).toMatchObject({ status: 415 });
    const xml = binary("orders/x", { "Content-Type": "application/xml" }, "<x/>");
    expect(await webhook(signed(xml))).toMatchObject({ status: 415 });
  });
});

describe("POST /{workflow}/{id}/events", () => {
  it("takes CloudEvents too, in both modes, once each", async () => {
    const id = await start("probes");
    const subject = `probes/${id}`;
    for (const event of [structured(subject), binary(subject)]) {
      for (const outcome of ["applied", "duplicate"]) {
        const answer = await post(`/probes/${id}/events`, event);
        expect(answer).toMatchObject({ status: 200, body: { outcome } });
      }
    }
    expect(await view("probes", id)).toMatchObject({ context: { count: 2 } });
  });

  it("refuses a subject that names another instance", async () => {
    const id = await start("probes");
    const answer = await post(`/probes/${id}/events`, structured("probes/other"));
    expect(answer).toMatchObject({ status: 400, body: { field: "subject" } });
  });
});
