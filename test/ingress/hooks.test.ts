import { createHmac } from "node:crypto";
import { env, exports } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { call, freshId, history, operate, view } from "../support/client.ts";

const [oldSecret, newSecret] = JSON.parse(env.TEST_PAYMENT_SECRETS) as [string, string];
const due = { amount: 1_190, currency: "EUR" };

afterEach(() => vi.restoreAllMocks());

async function payment(id = freshId()): Promise<string> {
  const body = { id, input: { purpose: "orders/o-1", due } };
  expect((await call("POST", "/payments", { body })).status).toBe(201);
  return id;
}

interface Callback {
  id?: string;
  type?: string;
  amount?: number;
}

const callback = (
  reference: string,
  { id = freshId(), type = "payment.captured", amount = 1_190 }: Callback = {},
) => JSON.stringify({ id, type, data: { reference, amount, currency: "eur" }, live: true });

/** As the payment provider signs: hexadecimal, with the time. */
function signed(
  body: string,
  { secret = newSecret, at = Date.now() }: { secret?: string; at?: number } = {},
) {
  const time = Math.floor(at / 1_000);
  const mac = createHmac("sha256", secret).update(`${time}.${body}`).digest("hex");
  return `t=${time},v1=${mac}`;
}

async function post(name: string, body: BodyInit, headers: Record<string, string>) {
  const response = await exports.default.fetch(`https://durachart.test/hooks/${name}`, {
    method: "POST",
    headers,
    body,
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: (text === "" ? null : JSON.parse(text)) as Record<string, unknown> | null,
  };
}

const pay = (body: string, signature = signed(body)) =>
  post("payments", body, { "Payment-Signature": signature, "Content-Type": "application/json" });

function postStandard(
  body: string,
  {
    id = freshId(),
    at = new Date(),
    name = "standard",
    secret = env.TEST_HOOK_SECRET,
    posted = body,
  } = {},
) {
  return post(name, posted, {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, at, body),
  });
}

describe("a payment provider's callback", () => {
  it("becomes an event of the payment, by either of its secrets, and tells nothing of it", async () => {
    for (const secret of [oldSecret, newSecret]) {
      const id = await payment();
      const body = callback(id);
      expect(await pay(body, signed(body, { secret }))).toMatchObject({
        status: 200,
        body: { outcome: "applied" },
      });
      expect(await view("payments", id)).toMatchObject({
        state: "captured",
        context: { captured: 1_190 },
      });
      expect((await history("payments", id)).at(-1)).toMatchObject({
        event: { type: "PAYMENT_CAPTURED" },
        by: "hook:payments",
      });
    }
  });

  it("is applied once, however often it comes", async () => {
    const id = await payment();
    const body = callback(id);
    const answers = await Promise.all(Array.from({ length: 10 }, () => pay(body)));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    const outcomes = answers.map((answer) => String(answer.body!["outcome"])).toSorted();
    expect(outcomes).toEqual(["applied", ...Array<string>(9).fill("duplicate")]);
    expect(await history("payments", id)).toHaveLength(2);
  });

  it("is refused for good where its id comes with something else", async () => {
    const id = await payment();
    const event = freshId();
    await pay(callback(id, { id: event }));
    const other = await pay(callback(id, { id: event, amount: 1 }));
    expect(other).toMatchObject({
      status: 409,
      body: { type: "urn:durachart:problem:key-reused" },
    });
  });

  it("waits for what it follows, where it comes too early", async () => {
    const id = freshId();
    const early = await pay(callback(id));
    expect(early.status).toBe(503);
    expect(early.headers.get("retry-after")).toBe("60");
    await payment(id);
    const refund = callback(id, { type: "payment.refunded" });
    expect(await pay(refund)).toMatchObject({ status: 202, body: { outcome: "deferred" } });
    expect((await pay(refund)).status).toBe(200);
    await pay(callback(id));
    expect(await view("payments", id)).toMatchObject({
      state: "refunded",
      output: { captured: 1_190, refunded: 1_190, reason: null },
    });
  });

  it("of the wrong amount, or a second one, has somebody look", async () => {
    const [wrong, twice] = [await payment(), await payment()];
    await pay(callback(wrong, { amount: 119 }));
    expect(await view("payments", wrong)).toMatchObject({
      state: "needsAttention",
      context: { captured: 119 },
    });
    await pay(callback(twice));
    await pay(callback(twice));
    expect(await view("payments", twice)).toMatchObject({
      state: "needsAttention",
      context: { captured: 2_380 },
    });
  });

  it("that is of no interest is taken, and nothing happens", async () => {
    const id = await payment();
    expect((await pay(callback(id, { type: "customer.updated" }))).status).toBe(204);
    expect(await history("payments", id)).toHaveLength(1);
  });

  it("is refused, whatever is wrong with its signature, and nothing changes", async () => {
    const id = await payment();
    const body = callback(id);
    const now = signed(body);
    const minutes = 60_000;
    const flipped = body.replace("1190", "1191");
    const wrong: [string, string, string][] = [
      ["no header", body, ""],
      ["a flipped byte", flipped, now],
      ["a space more", `${body} `, now],
      ["a byte order mark", `\uFEFF${body}`, now],
      ["six minutes old", body, signed(body, { at: Date.now() - 6 * minutes })],
      ["six minutes ahead", body, signed(body, { at: Date.now() + 6 * minutes })],
      ["another secret", body, signed(body, { secret: "another secret, as long" })],
      [
        "another time than was signed",
        body,
        now.replace(/t=\d+/, `t=${Math.floor(Date.now() / 1_000) - 1}`),
      ],
      ["two times", body, `t=1,${now}`],
      ["no signature", body, now.replace(/v1=.*/, "")],
      ["another scheme's", body, now.replace("v1=", "v0=")],
      ["half of it", body, now.slice(0, -32)],
    ];
    for (const [what, text, signature] of wrong) {
      const answer = await pay(text, signature);
      expect({ what, status: answer.status }).toEqual({ what, status: 401 });
    }
    const bytes = new Uint8Array([...new TextEncoder().encode(body), 0xff]);
    expect((await post("payments", bytes, { "Payment-Signature": now })).status).toBe(401);
    expect(await history("payments", id)).toHaveLength(1);
  });

  it("that is signed, but not what is expected, is refused for good", async () => {
    const cases: [string, number][] = [
      ["{", 400],
      ['{"__proto__":{}}', 422],
      ['{"id":"e"}', 422],
      [callback("../etc"), 400],
      [callback(freshId()).replace("1190", "-1"), 422],
      ["x".repeat(65 * 1_024), 413],
    ];
    for (const [body, status] of cases) expect((await pay(body)).status).toBe(status);
  });

  it("about an erased payment doesn't have the provider give up all others", async () => {
    const id = await payment();
    await operate("payments", id, "terminate");
    await operate("payments", id, "erase", { force: true });
    const answer = await pay(callback(id));
    expect(answer).toMatchObject({
      status: 422,
      body: { type: "urn:durachart:problem:erased", status: 422 },
    });
  });
});

describe("a hook signed by Standard Webhooks", () => {
  const captured = (payment: string) =>
    JSON.stringify({ payment, type: "PAYMENT_CAPTURED", data: due });

  it("is taken, and once under one webhook-id", async () => {
    const id = await payment();
    const webhookId = freshId();
    expect((await postStandard(captured(id), { id: webhookId })).body).toEqual({
      outcome: "applied",
    });
    expect((await postStandard(captured(id), { id: webhookId })).body).toEqual({
      outcome: "duplicate",
    });
  });

  it("is refused unsigned, stale, at another's address, and where there is none", async () => {
    const id = await payment();
    const body = captured(id);
    const stale = new Date(Date.now() - 360_000);
    expect((await post("standard", body, {})).status).toBe(401);
    expect((await postStandard(body, { at: stale })).status).toBe(401);
    expect((await postStandard(body, { posted: `\uFEFF${body}` })).status).toBe(401);
    expect((await postStandard(body, { posted: body.replace("1190", "1191") })).status).toBe(401);
    expect((await postStandard(body, { name: "payments" })).status).toBe(401);
    expect((await postStandard(body, { name: "broker" })).status).toBe(401);
    expect((await postStandard(body, { name: "constructor" })).status).toBe(401);
    expect(await history("payments", id)).toHaveLength(1);
  });

  it("may do what its sender's roles may, and no more", async () => {
    const id = await payment();
    await postStandard(captured(id).replace("1190", "1"));
    const settle = JSON.stringify({ payment: id, type: "SETTLE" });
    expect(await postStandard(settle)).toMatchObject({ status: 403 });
    expect(await view("payments", id)).toMatchObject({ state: "needsAttention" });
  });

  it("asks for another try where its mapping throws, and takes what means nothing", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const say = (type: string) => postStandard(JSON.stringify({ payment: "p", type }));
    expect((await say("explode")).status).toBe(500);
    expect((await say("ping")).status).toBe(204);
  });
});

describe("the doors", () => {
  it("are each for their own senders", async () => {
    const payload = { payment: "p", type: "ping" };
    const event = { specversion: "1.0", id: freshId(), source: "/p", type: "SETTLE" };
    const body = JSON.stringify({ ...event, ...payload, subject: "payments/p" });
    const asked = async (path: string, secret: string) => {
      const at = new Date();
      const response = await exports.default.fetch(`https://durachart.test${path}`, {
        method: "POST",
        headers: {
          "Content-Type": "application/cloudevents+json",
          "webhook-id": "one",
          "webhook-timestamp": String(Math.floor(at.getTime() / 1_000)),
          "webhook-signature": new Webhook(secret).sign("one", at, body),
        },
        body,
      });
      return response.status;
    };
    // Nobody says such a thing, or has such an instance: the doors let them in as far as that.
    expect(await asked("/hooks/standard", env.TEST_HOOK_SECRET)).not.toBe(401);
    expect(await asked("/events", env.TEST_HOOK_SECRET)).toBe(401);
    expect(await asked("/events", env.TEST_WEBHOOK_SECRET)).not.toBe(401);
    expect(await asked("/hooks/standard", env.TEST_WEBHOOK_SECRET)).toBe(401);
  });

  it("take POST alone", async () => {
    expect((await call("GET", "/hooks/payments")).status).toBe(405);
    expect((await call("GET", "/hooks/payments", { as: null })).status).toBe(401);
  });
});
