import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { dialFromNode } from "../../src/cli/dial.ts";
import { problem, type Problem } from "../../src/contract/problem.ts";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { Consumer } from "../../src/rabbitmq/consumer.ts";
import { Link } from "../../src/rabbitmq/link.ts";
import { letterIn } from "../../src/rabbitmq/message.ts";
import { DEAD, retryOf, topologyOf } from "../../src/rabbitmq/topology.ts";
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
let sender: Connection;
let names = 0;
const links: Link[] = [];

beforeAll(async () => {
  broker = await startBroker();
  sender = await openConnection(broker);
});

afterEach(async () => {
  for (const link of links.splice(0)) await link.close();
});

afterAll(async () => {
  await sender.close();
  await broker.remove();
});

const event = (subject: string, id: string) => ({
  ...{ specversion: "1.0", id, source: "/test", type: "PIZZA_READY", subject },
});
const later = problem("not-found", "not yet");
const never = problem("invalid-body", "never");

/** A queue of its own, and a consumer of it that answers each event by its id as it is told to. */
async function consume(
  answer: (id: string) => Promise<Problem | null> | Problem | null,
  prefetch = 10,
) {
  const queue = `test-${++names}`;
  const taken: string[] = [];
  const consumer = new Consumer(queue, async (message) => {
    const body = message.bodyToString() ?? "";
    if (!body.startsWith("{")) return never;
    const { id } = JSON.parse(body) as { id: string };
    taken.push(id);
    return answer(id);
  });
  const link = new Link({
    url: broker.url,
    dial: dialFromNode,
    name: queue,
    topology: topologyOf([queue]),
    consumers: [{ queue, prefetch, take: (...given) => consumer.take(...given) }],
    onLost: () => void link.connected().catch(() => {}),
  });
  links.push(link);
  await link.connected();
  const send = (subject: string, id: string) =>
    sender.publish(structured(queue, { tenant: "tropical", event: event(subject, id) }));
  return { queue, taken, link, send };
}

/** Ready or delivered and unacknowledged, as the management counts them. */
async function messagesIn(queue: string): Promise<{ ready: number; unacknowledged: number }> {
  const response = await broker.api("GET", `/api/queues/%2F/${queue}`);
  const { messages_ready: ready, messages_unacknowledged: unacknowledged } =
    (await response.json()) as { messages_ready: number; messages_unacknowledged: number };
  return { ready, unacknowledged };
}

describe("a consumer", () => {
  it("holds no more than its prefetch, and acknowledges only what is done", async () => {
    const finish: (() => void)[] = [];
    const { queue, taken, send } = await consume(
      () => new Promise((resolve) => finish.push(() => resolve(null))),
      3,
    );
    for (let index = 0; index < 8; index++) await send(`orders/${index}`, String(index));
    await eventually(
      () => messagesIn(queue),
      (found) => found.unacknowledged === 3 && found.ready === 5,
    );
    expect(taken).toEqual(["0", "1", "2"]);
    finish.shift()!();
    await eventually(
      () => taken.length,
      (length) => length === 4,
    );
    while (taken.length < 8 || finish.length > 0) {
      finish.shift()?.();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await eventually(
      () => messagesIn(queue),
      (found) => found.unacknowledged + found.ready === 0,
    );
  });

  it("takes one subject's messages one after the other, others side by side", async () => {
    const finish = new Map<string, () => void>();
    const { taken, send } = await consume(
      (id) => new Promise((resolve) => finish.set(id, () => resolve(null))),
    );
    await send("orders/a", "a1");
    await send("orders/a", "a2");
    await send("orders/b", "b1");
    await eventually(
      () => taken.length,
      (length) => length === 2,
    );
    expect(taken).toEqual(["a1", "b1"]);
    finish.get("a1")!();
    await eventually(
      () => taken.length,
      (length) => length === 3,
    );
    expect(taken).toEqual(["a1", "b1", "a2"]);
    for (const one of finish.values()) one();
  });

  it("gets again, after the connection was lost, what it has not acknowledged", async () => {
    let finish = (): void => {};
    const { queue, taken, send, link } = await consume(() =>
      taken.length > 1 ? null : new Promise((resolve) => (finish = () => resolve(null))),
    );
    await send("orders/a", "a");
    await eventually(
      () => taken.length,
      (length) => length === 1,
    );
    const connection = await link.connected();
    connection.cut("by the test");
    await connection.lost;
    // Done, but the acknowledgement comes to nothing.
    finish();
    await eventually(
      () => taken.length,
      (length) => length === 2,
    );
    expect(taken).toEqual(["a", "a"]);
    await eventually(
      () => messagesIn(queue),
      (found) => found.unacknowledged + found.ready === 0,
    );
  });

  it("tries again what may pass, later, and lets nothing of its subject overtake it", async () => {
    let release = (): void => {};
    // Until all have come: what comes only when the first is put away has nothing before it.
    const allHaveCome = new Promise<void>((resolve) => (release = resolve));
    const { queue, taken, send } = await consume(async (id) => {
      const isFirstTime = taken.filter((one) => one === id).length === 1;
      if (id !== "first" || !isFirstTime) return null;
      await allHaveCome;
      return later;
    });
    await send("orders/a", "first");
    await send("orders/a", "second");
    await send("orders/b", "other");
    await eventually(
      () => taken.length,
      (length) => length >= 2,
    );
    release();
    await eventually(
      () => readyIn(sender, retryOf(5)),
      (ready) => ready > 0,
    );
    await eventually(
      () => taken.length,
      (length) => length >= 4,
      20_000,
    );
    expect(taken.filter((id) => id !== "other")).toEqual(
      taken.includes("second") && taken.indexOf("second") > taken.lastIndexOf("first")
        ? ["first", "first", "second"]
        : "in order",
    );
    await eventually(
      () => messagesIn(queue),
      (found) => found.unacknowledged + found.ready === 0,
    );
  });

  it("puts what will never do with the dead letters, with its reason, and spares its neighbours", async () => {
    const { queue, taken, send } = await consume((id) => (id === "poison" ? never : null));
    await send("orders/a", "good");
    await send("orders/a", "poison");
    await send("orders/a", "better");
    await eventually(
      () => readyIn(sender, DEAD),
      (ready) => ready === 1,
    );
    const letter = letterIn((await takeFrom(sender, DEAD))!, () => undefined, 0);
    expect(letter).toMatchObject({
      origin: `rabbitmq:${queue}`,
      whose: { tenant: "tropical" },
      reason: { status: 422, detail: "never" },
      attempts: 1,
      body: { tenant: "tropical", event: { id: "poison" } },
    });
    await eventually(
      () => taken.length,
      (length) => length === 3,
    );
    expect(taken).toEqual(["good", "poison", "better"]);
  });

  it("gives up after 17 tries", async () => {
    const { queue } = await consume(() => later);
    const message = structured(queue, { event: event("orders/a", "tired") });
    const headers = { ...message.properties.headers, "durachart-attempts": 16 };
    await sender.publish({ ...message, properties: { ...message.properties, headers } });
    await eventually(
      () => readyIn(sender, DEAD),
      (ready) => ready === 1,
    );
    expect(letterIn((await takeFrom(sender, DEAD))!, () => undefined, 0)).toMatchObject({
      attempts: 17,
      reason: { detail: "not yet" },
    });
  });

  it("keeps a message that it can't put away, until it can", async () => {
    const { queue, send } = await consume(() => never);
    await broker.api("DELETE", `/api/bindings/%2F/e/${DEAD}/q/${DEAD}/%23`);
    await send("orders/a", "kept");
    await eventually(
      () => messagesIn(queue),
      (found) => found.unacknowledged === 1,
    );
    expect(await readyIn(sender, DEAD)).toBe(0);
    const channel = await sender.channel();
    await channel.queueBind(DEAD, DEAD, "#");
    await eventually(
      () => readyIn(sender, DEAD),
      (ready) => ready === 1,
      // Between two tries there are up to 30 seconds, once it has tried for a while.
      50_000,
    );
    await takeFrom(sender, DEAD);
  });

  it("survives headers that it can't write again, and a body that is nothing", async () => {
    const { queue } = await consume(() => null);
    const channel = await sender.channel();
    const strange = {
      nested: { a: [1, null, { b: true }] },
      when: new Date(8.64e15),
      cloudEvents_id: 7,
    };
    await channel.confirmSelect();
    await channel.basicPublish("durachart", queue, new Uint8Array([0xff, 0xfe]), {
      headers: strange,
      expiration: "60000",
    });
    await eventually(
      () => readyIn(sender, DEAD),
      (ready) => ready === 1,
      20_000,
    );
    expect(letterIn((await takeFrom(sender, DEAD))!, () => undefined, 0)).toMatchObject({
      origin: `rabbitmq:${queue}`,
      reason: { status: 422 },
      body: { headers: expect.stringContaining("nested") as string },
    });
  });

  it("is told by the broker of what the broker gives up", async () => {
    const { queue, link } = await consume(() => null);
    await link.close();
    await sender.publish({
      ...structured(queue, { event: event("orders/a", "expired") }),
      properties: { contentType: "application/cloudevents+json", expiration: "1" },
    });
    await eventually(
      () => readyIn(sender, DEAD),
      (ready) => ready === 1,
    );
    const letter = letterIn((await takeFrom(sender, DEAD))!, () => undefined, 0);
    expect(letter.origin).toBe(`rabbitmq:${queue}`);
    expect(letter.reason.detail).toContain("expired");
  });
});
