import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Message } from "../../src/contract/message.ts";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { forward } from "../../src/rabbitmq/forward.ts";
import { httpTransport } from "../../src/rabbitmq/http.ts";
import { envelopeIn } from "../../src/rabbitmq/message.ts";
import { dialFromNode } from "../../src/cli/dial.ts";
import { startEphemeralFleet } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken, tenant } from "../../src/cli/secrets.ts";
import { topology } from "../../src/topology.ts";
import type { View } from "../../src/index.ts";
import { openConnection, startBroker, takeFrom, type TestBroker } from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";

let broker: TestBroker;
let connection: Connection;

beforeAll(async () => {
  broker = await startBroker();
  connection = await openConnection(broker);
  await broker.api("PUT", "/api/vhosts/bare");
  const { username } = new URL(broker.url);
  const all = { configure: ".*", write: ".*", read: ".*" };
  await broker.api("PUT", `/api/permissions/bare/${username}`, all);
});

afterAll(async () => {
  await connection.close();
  await broker.remove();
});

const message: Message = {
  ...{ source: "/orders/o-1", id: "1-2", type: "MAKE_PIZZA", data: { pizza: "Käse 🍍" } },
  time: 1_800_000_000_000,
  about: { tenant: "tropical", workflow: "orders", id: "o-1" },
};

describe("the HTTP API", () => {
  it("publishes the same message as AMQP does", async () => {
    await httpTransport(broker.httpUrl, "delivery").send(message);
    const taken = await takeFrom(connection, "delivery");
    expect(taken!.properties).toMatchObject({
      ...{ deliveryMode: 2, contentType: "application/json", messageId: "1-2" },
      timestamp: new Date(message.time),
    });
    expect(envelopeIn(taken!, undefined)).toEqual({
      tenant: "tropical",
      event: {
        ...{ specversion: "1.0", id: "1-2", source: "/orders/o-1", type: "MAKE_PIZZA" },
        ...{ subject: "orders/o-1", time: "2027-01-15T08:00:00.000Z" },
        ...{ datacontenttype: "application/json", data: { pizza: "Käse 🍍" } },
      },
    });
  });

  it.each([
    ["no queue", (url: string) => url, "nobody", /no queue for nobody/],
    ["no exchange yet", (url: string) => url.replace("%2F", "bare"), "delivery", /40[04]/],
    ["a wrong password", (url: string) => url.replace(/:[^:@/]+@/, ":wrong@"), "delivery", /401/],
    ["no TLS", () => "http://user:password@broker.example/%2F", "delivery", /must be https/],
  ])("fails, to be tried again, on %s", async (_, urlOf, to, said) => {
    await expect(httpTransport(urlOf(broker.httpUrl), to).send(message)).rejects.toThrow(said);
  });
});

/** The shop where no Worker speaks AMQP: out by the API, in by webhooks from programs beside the broker. */
describe("a shop that can't reach the broker by TCP", () => {
  it("brings an order to its end", async () => {
    const secrets = makeSecrets();
    const fleet = await startEphemeralFleet(secrets, { RABBITMQ_HTTP_URL: broker.httpUrl });
    const doors = {
      "durachart-events": "/events",
      kitchen: "/kitchen/events",
      delivery: "/delivery/events",
    };
    const forwarding = Object.entries(doors).map(([queue, path]) =>
      forward(
        { url: broker.url, dial: dialFromNode, topology, queue, prefetch: 5 },
        { to: new URL(path, fleet.url).href, secret: secrets.webhookSecret, tenant },
      ),
    );
    const staff = await mintToken(secrets, { subject: "s", roles: ["service", "operator"] }, "1h");
    const call = async (method: string, path: string, body?: object) => {
      const response = await fetch(new URL(path, fleet.url), {
        method,
        headers: { Authorization: `Bearer ${staff}`, "Content-Type": "application/json" },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as View };
    };
    try {
      const data = { id: "p1", pizza: "mango-tango" };
      await call("POST", "/orders", { id: "o-1", event: { type: "ADD_PIZZA", data } });
      await call("POST", "/orders/o-1/events", { type: "CONFIRM_PIZZA" });
      for (const path of ["/kitchen/finish-next", "/delivery/finish-next"]) {
        await eventually(
          () => call("POST", path),
          ({ status }) => status === 200,
          30_000,
        );
      }
      await eventually(
        () => call("GET", "/orders/o-1"),
        ({ body }) => body.state === "delivered",
      );
      const unsigned = await fetch(new URL("/kitchen/events", fleet.url), {
        method: "POST",
        headers: { "Content-Type": "application/cloudevents+json" },
        body: "{}",
      });
      expect(unsigned.status).toBe(401);
    } finally {
      for (const one of forwarding) await one.close();
      await fleet.close();
    }
  });
});
