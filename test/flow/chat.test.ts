import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import { eventually } from "../support/eventually.ts";
import { Talker } from "../support/talker.ts";

/** The whole shop, its chat reached as people reach it: through the gateway, by HTTP and WebSocket. */
let fleet: Awaited<ReturnType<typeof startEphemeralFleet>>;
const secrets = makeSecrets();
const origin = "https://shop.test";
const mint = (subject: string, role: string) =>
  mintToken(secrets, { subject, roles: [role] }, "10m");

beforeAll(async () => {
  fleet = await startEphemeralFleet(secrets, { ALLOWED_ORIGINS: origin });
});
afterAll(() => fleet.close());

async function call(method: string, path: string, token: string | null, body?: unknown, more = {}) {
  const response = await fetch(new URL(path, fleet.url), {
    method,
    headers: {
      ...(token === null ? {} : { Authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...more,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { status, headers } = response;
  return { status, headers, body: (await response.json()) as Record<string, unknown> };
}

async function orderOf(token: string): Promise<string> {
  const id = `chat-${crypto.randomUUID()}`;
  const event = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
  const { status } = await call("POST", "/orders", token, { id, event });
  expect(status).toBe(201);
  return id;
}

describe("About a real order", () => {
  it("customer, shop and courier talk, and nobody else does", async () => {
    const [carla, mallory, sam, cora] = await Promise.all([
      mint("carla", "customer"),
      mint("mallory", "customer"),
      mint("sam", "service"),
      mint("cora", "courier"),
    ]);
    const order = await orderOf(carla);
    const path = `/api/chat/orders/${order}`;
    const shop = await new Talker(fleet.url, order, { token: sam }).open();
    const courier = await new Talker(fleet.url, order, { token: cora }).open();
    // The customer's is a page.
    const asked = await call("POST", `${path}/tickets`, carla, undefined, { Origin: origin });
    expect(asked.status).toBe(201);
    const query = `ticket=${String(asked.body["ticket"])}`;
    const headers = { Origin: origin };
    const page = await new Talker(fleet.url, order, { query, headers }).open();
    expect(page.socket.protocol).toBe("durachart.chat");
    page.say("m-1", "Where is it?");
    await courier.got(1);
    courier.say("m-1", "<b>Here</b>");
    await page.got(2);
    const said = await call("POST", `${path}/messages`, sam, { id: "m-1", text: "Enjoy!" });
    expect(said.status).toBe(201);
    const all = [page, shop, courier];
    for (const one of all) await one.got(3);
    for (const one of all) expect(one.messages).toEqual(page.messages);
    expect(page.messages.map(({ seq, from }) => [seq, from.part])).toEqual([
      ...[
        [1, "customer"],
        [2, "courier"],
        [3, "shop"],
      ],
    ]);
    const read = await call("GET", `${path}/messages?after=1`, cora);
    expect(read).toMatchObject({
      status: 200,
      body: { messages: page.messages.slice(1), last: 3 },
    });
    expect((await call("GET", `/api/orders/${order}`, carla)).status).toBe(200);
    expect(read.headers.get("x-content-type-options")).toBe("nosniff");

    for (const [method, rest] of [
      ["GET", "messages"],
      ["POST", "tickets"],
    ] as const) {
      expect((await call(method, `${path}/${rest}`, mallory)).status).toBe(404);
      expect((await call(method, `${path}/${rest}`, null)).status).toBe(401);
    }
    for (const refused of [
      { token: mallory },
      {},
      { query },
      { query, headers },
      { query: "ticket=x", headers },
    ]) {
      await expect(new Talker(fleet.url, order, refused).open()).rejects.toThrow("refused");
    }
    expect((await call("GET", "/api/chat", carla)).status).toBe(404);
    for (const one of all) one.socket.close();
  });

  it("200 who listen get all of what one says, in order", async () => {
    const [carla, sam] = await Promise.all([mint("carla", "customer"), mint("sam", "service")]);
    const order = await orderOf(carla);
    const listeners: Talker[] = [];
    while (listeners.length < 200) {
      const some = Array.from({ length: 20 }, () =>
        new Talker(fleet.url, order, { token: sam }).open(),
      );
      listeners.push(...(await Promise.all(some)));
    }
    let speaker: Talker | undefined;
    const [count, delays] = [50, [] as number[]];
    for (let seq = 1; seq <= count; seq += 1) {
      // A socket may say twenty at once: she comes back with another rather than wait.
      if (seq % 20 === 1) {
        speaker?.socket.close();
        speaker = await new Talker(fleet.url, order, {
          token: carla,
          query: `after=${seq - 1}`,
        }).open();
      }
      const began = performance.now();
      speaker!.say(`m-${seq}`, `What is said as number ${seq}`);
      await eventually(
        () => listeners.every((one) => one.messages.length === seq),
        (isThere) => isThere,
      );
      for (const one of listeners) {
        const at = one.frames.findLastIndex((frame) => frame.type === "message");
        delays.push(one.times[at]! - began);
      }
    }
    speaker!.socket.close();
    const numbers = Array.from({ length: count }, (_, index) => index + 1);
    for (const one of listeners) expect(one.messages.map(({ seq }) => seq)).toEqual(numbers);
    const sorted = delays.toSorted((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1]!.toFixed(1);
    console.log(
      `Chat: ${count} messages to ${listeners.length} listeners, ms from said to there: p50 ${at(0.5)}, p99 ${at(0.99)}, most ${at(1)}`,
    );
    for (const one of listeners) one.socket.close();
  });
});
