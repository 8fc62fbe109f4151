import { createHmac } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ShopOnDisk } from "../support/shop-on-disk.ts";

/** Found nowhere by chance. */
const canary = `4111 CANARY ${crypto.randomUUID()}`;

const forms = {
  plain: canary,
  percent: encodeURIComponent(canary),
  base64: Buffer.from(canary).toString("base64").replace(/=+$/, ""),
  base64url: Buffer.from(canary).toString("base64url"),
};

const shop = new ShopOnDisk(
  "test/support/cards-worker.ts",
  `
[[durable_objects.bindings]]
name = "WEBHOOKS"
class_name = "Webhooks"
[[migrations]]
tag = "v2"
new_sqlite_classes = ["Webhooks"]
[[queues.producers]]
binding = "EVENTS_QUEUE"
queue = "cards-events"
[[queues.producers]]
binding = "DEAD_LETTERS"
queue = "cards-events-dead"
[[queues.producers]]
binding = "TRANSITIONS"
queue = "cards-transitions"
[[queues.consumers]]
queue = "cards-transitions"
max_batch_timeout = 0
[[queues.consumers]]
queue = "cards-events"
max_batch_timeout = 0
dead_letter_queue = "cards-events-dead"
[[queues.consumers]]
queue = "cards-events-dead"
max_batch_timeout = 0
`,
);

/** Everything that was answered, and every message that watchers were sent. */
const told: string[] = [];

async function call(method: string, path: string, body?: unknown, key?: string) {
  const { status, text } = await shop.call(method, path, body, key);
  told.push(text);
  return { status, text, json: text.startsWith("{") ? (JSON.parse(text) as Told) : ({} as Told) };
}

interface Told {
  secret?: string;
  context?: { card: string; result: unknown };
  letters?: { id: string; status: string }[];
  instances?: { id: string }[];
}

async function until<Value>(
  look: () => Promise<Value>,
  isThere: (value: Value) => boolean,
): Promise<Value> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const value = await look();
    if (isThere(value)) return value;
    if (performance.now() > deadline) throw new Error(`It never came: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const pay = (how = "charges", number = canary) => ({
  type: "PAY",
  data: { card: { number, holder: "Carla" }, how },
});
const cloudEvent = (id: string, event = pay()) => ({
  ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/till", subject: `cards/${id}` },
  ...event,
});

/** As a provider calls back that signs what it posts. */
async function callBack(order: string, number: string): Promise<number> {
  const body = JSON.stringify({ id: `callback-${order}`, order, number });
  const time = Math.floor(Date.now() / 1_000);
  const { paymentSecret } = shop.secrets;
  const code = createHmac("sha256", paymentSecret).update(`${time}.${body}`).digest("hex");
  const response = await fetch(`${shop.url}/hooks/payments`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Payment-Signature": `t=${time},v1=${code}` },
    body,
  });
  told.push(await response.text());
  return response.status;
}

const view = async (id: string) => (await call("GET", `/cards/${id}`)).json;
const result = (id: string) =>
  until(
    () => view(id),
    ({ context }) => context!.result !== null,
  );

beforeAll(() => shop.open());
afterAll(() => shop.remove());

describe("a card's number", () => {
  it("reaches the actor that may see it, by every way in, and is told to nobody else", async () => {
    await call("POST", "/cards", { id: "started", event: pay() });
    for (const id of ["sent", "queued", "spoken", "held", "called", "kept"]) {
      await call("POST", "/cards", { id });
    }
    // Node's own takes headers, which the standard's types don't know.
    const options = { headers: { Authorization: `Bearer ${shop.token}` } } as unknown as string;
    const socket = new WebSocket(`${shop.url}/cards/spoken/stream`, options);
    socket.addEventListener("message", ({ data }) => void told.push(data as string));
    await once(socket as never, "open");
    socket.send(JSON.stringify(cloudEvent("spoken")));
    await call("POST", "/cards/sent/events", pay(), "k1");
    expect((await call("POST", "/cards/sent/events", pay(), "k1")).text).toContain("duplicate");
    await call("POST", "/enqueue", { tenant: "tropical", event: cloudEvent("queued") });
    expect(await callBack("called", canary)).toBe(200);
    expect(await callBack("called", canary)).toBe(200);
    expect(await callBack("called", `${canary}!!`)).toBe(422);
    // It may not be there yet: the provider is to try again.
    expect(await callBack("nobody", canary)).toBe(503);
    const refusedCards = [pay("charges", `${canary}!!`).data, { card: canary }, canary];
    for (const data of refusedCards) {
      const event = { type: "PAY", data };
      expect((await call("POST", "/cards/kept/events", event)).status).toBe(422);
      expect((await call("POST", "/cards", { id: "never", event })).status).toBe(422);
      const { text } = await call("POST", "/cards/kept/simulate", { suppose: [event] });
      expect(text).toContain("is secret");
    }
    await call("POST", "/cards/held/pause");
    await call("POST", "/cards/held/events", pay());
    await call("POST", "/cards/held/resume");
    for (const id of ["started", "sent", "queued", "spoken", "held", "called"]) {
      const { context } = await result(id);
      expect({ id, result: context!.result }).toEqual({ id, result: { last4: canary.slice(-4) } });
      expect(context!.card).toMatch(/^secret_/);
    }
    socket.close();
  });

  it("comes back in no output and no error, nor by simulating, going back, archiving", async () => {
    for (const how of ["fails", "answers", "encodes"]) {
      await call("POST", "/cards", { id: how, event: pay(how) });
      const { context } = await result(how);
      expect(context!.result).toMatchObject({ name: "TerminalError" });
    }
    await call("POST", "/cards/kept/simulate", { suppose: [pay(), { advance: 1_000 }] });
    await call("POST", "/cards/sent/rewind", { to: 1 });
    await call("POST", "/cards/sent/events", pay("fails"));
    await call("POST", "/cards/sent/archive", { keep: 1 });
    for (const id of ["sent", "held", "fails"]) await call("GET", `/cards/${id}/history`);
    expect((await call("GET", "/cards/sent/verify")).text).toContain('"status":"intact"');
  });

  it("is sealed in a dead letter, which can be sent again", async () => {
    const refused = cloudEvent("queued", pay("charges", `${canary}!!`));
    await call("POST", "/enqueue", { tenant: "tropical", event: refused });
    // An error of JSON.parse quotes what stands around the mistake.
    const unreadable = Buffer.from(`{"number":'${canary}'}`).toString("base64");
    const { data: _, ...bare } = cloudEvent("queued");
    const event = { ...bare, data_base64: unreadable };
    await call("POST", "/enqueue", { tenant: "tropical", event });
    const letters = await until(
      async () => (await call("GET", "/dead-letters")).json.letters ?? [],
      ({ length }) => length === 2,
    );
    for (const { id } of letters) {
      const { text } = await call("GET", `/dead-letters/${id}`);
      expect(text).toContain("sealed.1.k1.");
      expect(text).not.toContain(canary.slice(0, 8));
    }
    const path = `/dead-letters/${letters[0]!.id}`;
    expect((await call("POST", `${path}/redrive`)).status).toBe(200);
    await until(
      async () => (await call("GET", path)).text,
      (letter) => letter.split('"died"').length === 3,
    );
  });

  it("stands in no file, nor does a webhook's key; in no log, no answer and no broadcast", async () => {
    const endpoint = { url: "https://receiver.example/canary" };
    const { json } = await call("POST", "/webhooks", endpoint);
    const key = json.secret!.slice("whsec_".length);
    await until(
      async () => (await call("GET", "/cards?limit=50")).json.instances ?? [],
      ({ length }) => length >= 10,
    );
    await until(
      async () => shop.filesWith('"subject":"cards/encodes"').join(),
      (files) => files.includes("on-disk-archive"),
    );
    await shop.close();
    expect(told.filter((one) => one.includes("durachart.transition")).length).toBeGreaterThan(1);
    expect(told.length).toBeGreaterThan(30);
    const said = readFileSync(shop.log, "utf8");
    // What must be there is: the search finds what it looks for.
    expect(said).toContain("actor charge failed");
    expect(shop.filesWith("sealed.1.k1.").length).toBeGreaterThan(5);
    expect(shop.filesWith("Carla").length).toBeGreaterThan(5);
    expect(shop.filesWith(endpoint.url)).not.toEqual([]);
    const bytes = Buffer.from(key, "base64");
    const keyForms = [key, bytes, bytes.toString("hex"), bytes.toString("base64url")];
    for (const text of keyForms) expect(shop.filesWith(text)).toEqual([]);
    for (const [form, text] of Object.entries(forms)) {
      expect({ form, files: shop.filesWith(text) }).toEqual({ form, files: [] });
      expect({ form, isSaid: said.includes(text) }).toEqual({ form, isSaid: false });
      expect({ form, told: told.filter((one) => one.includes(text)) }).toEqual({ form, told: [] });
    }
  });
});
