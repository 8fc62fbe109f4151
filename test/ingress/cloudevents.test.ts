import { env } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { signedContent } from "../../src/index.ts";
import type { JournalEntry } from "../../src/contract/view.ts";
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
    ["with binary data that is no JSON", null, { data_base64: "AAAA" }, 400],
    ["with JSON of the wrong shape", null, { data_base64: btoa("5") }, 422],
  ])("refuses one %s", async (_, subject, attributes, status) => {
    const id = await confirmedOrder();
    const event = structured(subject ?? `orders/${id}`, { type: "PIZZA_READY", ...attributes });
    const answer = await webhook(signed(event));
    expect(answer).toMatchObject({ status, body: { status } });
    expect((await view("orders", id)).state).not.toHaveProperty("deliverPizza");
  });

  it("refuses other formats", async () => {
    const avro = { headers: { "Content-Type": "application/cloudevents+avro" }, body: "[]" };
    expect(await webhook(signed(avro))).toMatchObject({ status: 415 });
  });

  it("takes a signed batch for many instances, and answers for each event", async () => {
    const [one, two] = [await confirmedOrder(), await confirmedOrder()];
    const events = [
      event(`orders/${one}`, { type: "PIZZA_IN_OVEN" }),
      event(`orders/${two}`, { type: "PIZZA_READY" }),
      event(`orders/${one}`, { type: "CANCEL_ORDER" }),
      event("nowhere/x"),
      event(`orders/${one}`, { type: "PIZZA_READY" }),
    ];
    const answer = await webhook(signed(batchOf(events)));
    expect(answer.status).toBe(207);
    expect(answer.body["results"]).toMatchObject([
      { id: events[0]!.id, source: "/kitchen", outcome: "applied" },
      { outcome: "applied" },
      { problem: { status: 403 } },
      { problem: { status: 404 } },
      { outcome: "applied" },
    ]);
    for (const id of [one, two]) {
      expect((await view("orders", id)).state).toHaveProperty("deliverPizza");
    }
  });
});

const event = (subject: string | undefined, attributes: object = {}) => ({
  ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/kitchen", type: "COUNT" },
  ...(subject === undefined ? {} : { subject }),
  ...attributes,
});

const batchOf = (events: readonly unknown[]): Sending => ({
  headers: { "Content-Type": "application/cloudevents-batch+json; charset=utf-8" },
  body: JSON.stringify(events),
});

describe("a batch", () => {
  it("goes to its instance in its order; one bad event doesn't take the others along", async () => {
    const id = await start("probes");
    const first = event(undefined);
    const events = [
      first,
      event(`probes/${id}`),
      event("probes/other"),
      { ...event(undefined), id: "" },
      event(undefined, { type: "UNKNOWN" }),
      first,
      event(undefined),
    ];
    const answer = await post(`/probes/${id}/events`, batchOf(events));
    expect(answer.status).toBe(207);
    expect(answer.body["results"]).toMatchObject([
      { id: first.id, outcome: "applied", epoch: 1, seq: 2 },
      { outcome: "applied", seq: 3 },
      { problem: { status: 400, field: "subject" } },
      { problem: { status: 400, field: "id" } },
      { problem: { status: 422 } },
      { outcome: "duplicate", first: { seq: 2, outcome: "applied" } },
      { outcome: "applied", seq: 4 },
    ]);
    expect(await view("probes", id)).toMatchObject({ context: { count: 3 }, seq: 4 });
  });

  it("is 200 where all are taken, an empty one too; sent again it changes nothing", async () => {
    const id = await start("probes");
    expect(await post(`/probes/${id}/events`, batchOf([]))).toMatchObject({
      status: 200,
      body: { results: [] },
    });
    const batch = batchOf([event(undefined), event(undefined)]);
    expect(await post(`/probes/${id}/events`, batch)).toMatchObject({ status: 200 });
    expect(await post(`/probes/${id}/events`, batch)).toMatchObject({
      status: 200,
      body: { results: [{ outcome: "duplicate" }, { outcome: "duplicate" }] },
    });
    expect(await view("probes", id)).toMatchObject({ context: { count: 2 } });
  });

  it("may be larger than one event, not without end", async () => {
    const id = await start("probes");
    const padded = (bytes: number) => event(undefined, { padding: "x".repeat(bytes) });
    const large = batchOf([padded(60_000), padded(60_000)]);
    expect(await post(`/probes/${id}/events`, large)).toMatchObject({ status: 200 });
    const huge = batchOf(Array.from({ length: 20 }, () => padded(60_000)));
    expect(await post(`/probes/${id}/events`, huge)).toMatchObject({ status: 413 });
    const one = batchOf([event(undefined), padded(70_000)]);
    const answer = await post(`/probes/${id}/events`, one);
    expect(answer.body["results"]).toMatchObject([
      { outcome: "applied" },
      { problem: { status: 413 } },
    ]);
  });
});

describe("the webhook handshake", () => {
  const ask = (headers: Record<string, string>) =>
    call("OPTIONS", "/events", { headers, as: null });

  it("allows who asks, without credentials, and says at what rate", async () => {
    const answer = await ask({
      "WebHook-Request-Origin": "eventemitter.example.com",
      "WebHook-Request-Rate": "60",
    });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("webhook-allowed-origin")).toBe("eventemitter.example.com");
    expect(answer.headers.get("webhook-allowed-rate")).toBe("60");
    expect(answer.headers.get("allow")).toContain("POST");
  });

  it("never allows more than it bears", async () => {
    const origin = { "WebHook-Request-Origin": "example.com" };
    for (const more of [{}, { "WebHook-Request-Rate": "100000" }]) {
      const answer = await ask({ ...origin, ...more });
      expect(answer.headers.get("webhook-allowed-rate")).toBe("120");
    }
  });

  it.each<[string, Record<string, string>]>([
    ["no origin", {}],
    ["an origin that is no name", { "WebHook-Request-Origin": "https://example.com" }],
    ["a rate that is none", { "WebHook-Request-Origin": "a.b", "WebHook-Request-Rate": "*" }],
  ])("refuses %s", async (_, headers) => {
    const answer = await ask(headers);
    expect(answer.status).toBe(400);
    expect(answer.headers.get("webhook-allowed-origin")).toBeNull();
  });
});

describe("a trace", () => {
  const TRACE = "0af7651916cd43dd8448eb211c80319c";
  const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
  const historyOf = async (id: string) =>
    (await call("GET", `/probes/${id}/history`)).body["entries"] as JournalEntry[];

  it("that a request names is gone on with, returned and journalled", async () => {
    const id = await start("probes");
    const answer = await call("POST", `/probes/${id}/events`, {
      headers: { traceparent },
      body: { type: "COUNT" },
    });
    expect(answer.headers.get("traceparent")).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`));
    expect(answer.headers.get("traceparent")).not.toBe(traceparent);
    const entry = (await historyOf(id)).at(-1);
    expect(entry?.event.attributes?.["traceparent"]).toContain(TRACE);
  });

  it.each([undefined, "nonsense", "00-0-0-0", `ff-${TRACE}-b7ad6b7169203331-01`])(
    "is begun where a request names none: %s",
    async (given) => {
      const headers: Record<string, string> = given === undefined ? {} : { traceparent: given };
      const answer = await call("GET", "/orders/none", { headers });
      expect(answer.status).toBe(404);
      expect(answer.headers.get("traceparent")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
      expect(answer.headers.get("traceparent")).not.toContain(TRACE);
    },
  );

  it("that an event names is kept with all its attributes", async () => {
    const id = await start("probes");
    const kept = {
      ...{ traceparent, partitionkey: "p", sequence: "7", dataschema: "https://a.b/c" },
      time: "2026-11-22T07:08:09Z",
    };
    const one = event(undefined, kept);
    await post(`/probes/${id}/events`, batchOf([one]));
    const [, entry] = await historyOf(id);
    expect(entry?.event.attributes).toEqual({ source: "/kitchen", id: one.id, ...kept });
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
