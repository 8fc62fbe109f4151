import { Agent, request } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mintToken } from "../../src/cli/secrets.ts";
import type { Ask } from "./ask.ts";
import { problemOf } from "./oracle.ts";
import { caller, type Population } from "./population.ts";
import { hangUp, send, TOKEN_PLACE } from "./send.ts";
import { openShop, type FuzzedShop } from "./shop.ts";

let shop: FuzzedShop;
let customer: string;

beforeAll(async () => {
  shop = await openShop();
  const carla = { subject: "carla", roles: ["customer", "operator"] };
  customer = await mintToken(shop.secrets, carla, "1h");
}, 60_000);
afterAll(async () => {
  hangUp();
  await shop.close();
});

describe("a body that can't be read to its end", () => {
  const head = (path: string, type: string) =>
    [
      ...[`POST ${path} HTTP/1.1`, "Host: shop.test", TOKEN_PLACE, "Connection: close"],
      ...[`Content-Type: ${type}`, "Transfer-Encoding: chunked", "", ""],
    ].join("\r\n");

  it.each([
    ["an event", "events", "application/json"],
    ["a CloudEvent", "events", "application/cloudevents+json"],
    ["a simulation", "simulate", "application/json"],
    ["an operation", "pause", "application/json"],
    ["a payload", "payloads", "text/plain"],
  ])("%s: it is the sender's mistake, and nothing has happened", async (name, part, type) => {
    const id = name.replaceAll(/\W/g, "-");
    const call = caller(shop.base);
    expect((await call(customer, "POST", "/orders", { id })).status).toBe(201);
    const before = await call(customer, "GET", `/orders/${id}`);
    // What stands there is no chunk's size.
    const bytes = Buffer.from(
      `${head(`/orders/${id}/${part}`, type)}2\r\n{}\r\nzz\r\n{}\r\n0\r\n\r\n`,
    );
    const ask: Ask = {
      ...{ tenant: 0, as: "customer", method: "POST", path: "/", headers: [] },
      raw: { kind: "broken", bytes, end: "wait" },
    };
    const population = { tenants: [{ name: "", tokens: { customer } }] } as unknown as Population;
    const answer = await send(shop.base, population, ask);
    expect(answer.status, answer.text).toBe(400);
    expect(problemOf(answer)?.type).toBe("urn:durachart:problem:body-broken-off");
    expect(await call(customer, "GET", `/orders/${id}`)).toEqual(before);
  });
});

// Whoever finds what was leased used up waits for what another request has asked the tenant's object.
it("requests that wait for the same lease are each answered as themselves", async () => {
  const call = caller(shop.base);
  expect((await call(customer, "POST", "/orders", { id: "crowded" })).status).toBe(201);
  const agent = new Agent({ keepAlive: true, maxSockets: 48 });
  const body = JSON.stringify({ type: "RETRY" });
  const headers = {
    ...{ Authorization: `Bearer ${customer}`, "Content-Type": "application/json" },
    "Content-Length": body.length,
  };
  const post = () =>
    new Promise<number>((resolve, reject) => {
      const { hostname: host, port } = shop.base;
      const path = "/orders/crowded/events";
      const outgoing = request({ host, port, path, agent, method: "POST", headers }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0));
      });
      outgoing.on("error", reject).flushHeaders();
      // The body comes when the request is under way: it is read after the wait.
      setTimeout(() => outgoing.end(body), 1);
    });
  const statuses = new Map<number, number>();
  const client = async () => {
    for (let sent = 0; sent < 500; sent += 1) {
      const status = await post();
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  await Promise.all(Array.from({ length: 48 }, client));
  agent.destroy();
  expect([...statuses]).toEqual([[409, 24_000]]);
});
