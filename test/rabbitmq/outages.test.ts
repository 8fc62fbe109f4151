import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeSecrets, mintToken, tenant } from "../../src/cli/secrets.ts";
import type { JournalEntry, View } from "../../src/index.ts";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { declareTopology } from "../../src/rabbitmq/declare.ts";
import {
  connectTo,
  readyIn,
  startBroker,
  structured,
  takeFrom,
  type TestBroker,
} from "../support/broker.ts";
import { eventually } from "../support/eventually.ts";
import { LossyProxy } from "../support/lossy-proxy.ts";
import { consumed, published, testTopology } from "./names.ts";
import { Runtime } from "./runtime.ts";

/** The runtime reaches the broker through a proxy, which can lose what the broker says. */
let broker: TestBroker;
let proxy: LossyProxy;
let runtime: Runtime;
let token = "";

beforeAll(async () => {
  broker = await startBroker();
  const connection = await connectTo(broker.url);
  await declareTopology(connection, testTopology);
  await connection.close();
  proxy = new LossyProxy(broker.port);
  const port = await proxy.listen();
  const secrets = makeSecrets();
  token = await mintToken(secrets, { subject: "test", roles: ["operator"] }, "1h");
  runtime = await Runtime.start({
    ...secrets.variables,
    RABBITMQ_URL: broker.url.replace(`:${broker.port}/`, `:${port}/`),
  });
});

afterAll(async () => {
  await runtime.remove();
  proxy.close();
  await broker.remove();
});

async function call<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(`http://127.0.0.1:${runtime.port}${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Body;
}

const counter = (id: string) => call<View>("GET", `/counters/${id}`);
const keysIn = async (id: string): Promise<string[]> => {
  const path = `/counters/${id}/history?limit=1000`;
  const { entries } = await call<{ entries: JournalEntry[] }>("GET", path);
  const counts = entries.filter(({ event }) => event.type === "COUNT");
  return counts.map(({ event }) => (event.data as { key: string }).key);
};

/** Somebody else's program: it sends again what was not confirmed, as it should, and half of all twice. */
class Sender {
  connection: Connection | undefined;

  async send(id: string, key: string): Promise<void> {
    const event = {
      ...{ specversion: "1.0", id: key, source: "/test", type: "COUNT" },
      ...{ subject: `counters/${id}`, data: { key } },
    };
    const message = structured(consumed, { tenant, event });
    for (let copies = key.endsWith("1") ? 2 : 1; copies > 0;) {
      try {
        this.connection ??= await connectTo(broker.url);
        await this.connection.publish(message);
        copies -= 1;
      } catch {
        this.connection = undefined;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async close(): Promise<void> {
    await this.connection?.close();
  }
}

/** What was published about some counters, each message as often as it came. */
async function toldOf(ids: readonly string[], keys: number): Promise<Map<string, string[]>> {
  const connection = await connectTo(broker.url);
  const told = new Map<string, string[]>(ids.map((id) => [id, []]));
  await eventually(
    async () => {
      const message = await takeFrom(connection, published);
      if (message !== null) {
        const subject = message.properties.headers?.["cloudEvents_subject"] as string;
        const { key } = JSON.parse(message.bodyToString()!) as { key: string };
        told.get(subject.replace("counters/", ""))?.push(key);
      }
      return [...told.values()].reduce((sum, all) => sum + new Set(all).size, 0);
    },
    (distinct) => distinct >= keys,
    60_000,
  );
  await connection.close();
  return told;
}

let runs = 0;

/** Sends 20 events to each of 8 counters while something happens, then holds the runtime to its promises. */
async function survives(trouble: () => Promise<void>): Promise<void> {
  const run = ++runs;
  const ids = Array.from({ length: 8 }, (_, index) => `run-${run}-${index}`);
  for (const id of ids) await call("POST", "/counters", { id });
  const keys = Array.from({ length: 20 }, (_, index) => String(index));
  const sender = new Sender();
  const sending = (async () => {
    for (const key of keys) {
      await Promise.all(ids.map((id) => sender.send(id, key)));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  await eventually(
    () => counter(ids[0]!),
    ({ context }) => Number(context["counted"]) >= 3,
  );
  await trouble();
  await sending;
  await sender.close();
  for (const id of ids) {
    const { context } = await eventually(
      () => counter(id),
      (found) => Number(found.context["counted"]) >= keys.length,
      60_000,
    );
    expect(context["counted"]).toBe(keys.length);
    expect((await keysIn(id)).toSorted()).toEqual(keys.toSorted());
  }
  const told = await toldOf(ids, ids.length * keys.length);
  for (const id of ids) expect([...new Set(told.get(id))].toSorted()).toEqual(keys.toSorted());
  // Whatever came twice was applied once, after all of it has come.
  for (const id of ids) expect((await counter(id)).context["counted"]).toBe(keys.length);
}

describe("nothing is lost, and nothing applied twice, when", () => {
  it("nothing happens", () => survives(() => Promise.resolve()));

  it("the broker is stopped and started again", () =>
    survives(async () => {
      await broker.stop();
      await new Promise((resolve) => setTimeout(resolve, 2_000));
      await broker.start();
    }));

  it("the broker is killed", () =>
    survives(async () => {
      await broker.kill();
      await broker.start();
    }));

  it("the connections are cut, again and again", () =>
    survives(async () => {
      for (let cuts = 0; cuts < 5; cuts++) {
        proxy.cut();
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    }));

  it("the broker's confirms are lost", () =>
    survives(async () => {
      proxy.isDeaf = true;
      await new Promise((resolve) => setTimeout(resolve, 500));
      proxy.cut();
      proxy.isDeaf = false;
    }));

  it("the runtime is killed between commit and acknowledgement", () =>
    survives(async () => {
      for (let kills = 0; kills < 3; kills++) {
        await runtime.kill();
        await runtime.run();
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
    }));
});

describe("consumption goes on by itself, and nobody calls,", () => {
  /** It was applied when it is told of; asking the counter would wake the pool. */
  async function isConsumed(id: string): Promise<void> {
    const sender = new Sender();
    await sender.send(id, "alone");
    const connection = sender.connection!;
    await eventually(
      () => readyIn(connection, published),
      (ready) => ready === 1,
      45_000,
    );
    await takeFrom(connection, published);
    await sender.close();
    expect((await counter(id)).context).toEqual({ counted: 1 });
  }

  it("when the runtime was killed", async () => {
    await call("POST", "/counters", { id: "killed" });
    await runtime.kill();
    await runtime.run();
    await isConsumed("killed");
  });

  it("when the broker was away for a while, and the runtime was killed meanwhile", async () => {
    await call("POST", "/counters", { id: "away" });
    await broker.stop();
    await runtime.kill();
    await runtime.run();
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await broker.start();
    await isConsumed("away");
  });
});
