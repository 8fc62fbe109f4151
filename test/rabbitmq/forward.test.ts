import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { dialFromNode } from "../../src/cli/dial.ts";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { forward } from "../../src/rabbitmq/forward.ts";
import { letterIn } from "../../src/rabbitmq/message.ts";
import { DEAD, retryOf } from "../../src/rabbitmq/topology.ts";
import { topology } from "../../src/topology.ts";
import {
  openConnection,
  readyIn,
  startBroker,
  structured,
  takeFrom,
  type TestBroker,
} from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";

let broker: TestBroker;
let connection: Connection;
let server: Server;
let forwarding: ReturnType<typeof forward>;
/** What came to the door, and what it answers to each event's id. */
const came: { id: string; type: string | undefined; isSigned: boolean }[] = [];
const answers = new Map<string, number>();

const queue = "durachart-events";
const secret = `whsec_${randomBytes(24).toString("base64")}`;
const event = (id: string) => ({
  ...{ specversion: "1.0", id, source: "/test", type: "PIZZA_READY", subject: `orders/${id}` },
});

beforeAll(async () => {
  broker = await startBroker();
  connection = await openConnection(broker);
});

afterAll(async () => {
  await connection.close();
  await broker.remove();
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  const { id } = JSON.parse(text) as { id: string };
  const headers = request.headers as Record<string, string>;
  let isSigned = true;
  try {
    new Webhook(secret).verify(text, headers);
  } catch {
    isSigned = false;
  }
  came.push({ id, type: headers["content-type"], isSigned });
  response.writeHead(answers.get(id) ?? 200).end("{}");
}

beforeEach(async () => {
  came.length = 0;
  answers.clear();
  server = createServer((request, response) => void answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  forwarding = forward(
    { url: broker.url, dial: dialFromNode, topology, queue, prefetch: 5 },
    { to: `http://127.0.0.1:${port}/events`, secret, tenant: "tropical" },
  );
});

afterEach(async () => {
  await forwarding.close();
  server.close();
  server.closeAllConnections();
});

const send = (id: string, tenant?: string) =>
  connection.publish(
    structured(queue, { event: event(id), ...(tenant === undefined ? {} : { tenant }) }),
  );
const isEmpty = () =>
  eventually(
    () => readyIn(connection, queue),
    (ready) => ready === 0,
  );

describe("forwarding to a webhook", () => {
  it("brings each event, signed, and acknowledges what was taken", async () => {
    await send("named", "tropical");
    await send("unnamed");
    await eventually(
      () => came.length,
      (count) => count === 2,
    );
    expect(came.toSorted((one, other) => one.id.localeCompare(other.id))).toEqual([
      { id: "named", type: "application/cloudevents+json", isSigned: true },
      { id: "unnamed", type: "application/cloudevents+json", isSigned: true },
    ]);
    await forwarding.close();
    expect(await readyIn(connection, queue)).toBe(0);
  });

  it.each([404, 409, 500, 502, 401, 302])("tries %i again later", async (status) => {
    const id = `again-${status}`;
    answers.set(id, status);
    await send(id);
    await eventually(
      () => came.length,
      (count) => count === 1,
    );
    await eventually(
      () => readyIn(connection, retryOf(5)),
      (ready) => ready === 1,
    );
    answers.delete(id);
    await eventually(
      () => came.length,
      (count) => count === 2,
    );
    await isEmpty();
  });

  it("buries what is refused for good, and what is another tenant's", async () => {
    answers.set("bad", 422);
    await send("bad");
    await send("foreign", "someone-else");
    await eventually(
      () => readyIn(connection, DEAD),
      (ready) => ready === 2,
    );
    const letters = [await takeFrom(connection, DEAD), await takeFrom(connection, DEAD)];
    const statuses = letters.map((message) => letterIn(message!, () => undefined, 0).reason.status);
    expect(new Set(statuses)).toEqual(new Set([403, 422]));
    expect(came.map(({ id }) => id)).toEqual(["bad"]);
  });

  it("goes on when the broker was away", async () => {
    await broker.stop();
    await broker.start();
    connection = await openConnection(broker);
    await send("after");
    await eventually(
      () => came.length,
      (count) => count === 1,
      30_000,
    );
    expect(came[0]).toMatchObject({ id: "after", isSigned: true });
  });
});
