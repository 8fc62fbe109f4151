import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Connection } from "../../src/rabbitmq/connection.ts";
import { declareTopology } from "../../src/rabbitmq/declare.ts";
import { topologyOf } from "../../src/rabbitmq/topology.ts";
import { topology } from "../../src/topology.ts";
import {
  connectTo,
  openConnection,
  readyIn,
  startBroker,
  takeFrom,
  type TestBroker,
} from "../support/broker.ts";
import { LossyProxy } from "../support/lossy-proxy.ts";

let broker: TestBroker;

beforeAll(async () => {
  broker = await startBroker();
});

afterAll(() => broker.remove());

const message = (routingKey: string, text = "{}", exchange = "durachart") => ({
  ...{ exchange, routingKey, body: new TextEncoder().encode(text) },
  properties: { contentType: "application/json" },
});

/** A queue of its own at the shop's exchange. */
async function queueAt(connection: Connection, name: string, args: Record<string, unknown> = {}) {
  const channel = await connection.channel();
  await channel.queueDeclare(name, { durable: true }, args);
  await channel.queueBind(name, "durachart", `${name}.#`);
  await channel.close();
}

describe("publishing", () => {
  it("resolves when the broker has it for good, in the order of the calls", async () => {
    const connection = await openConnection(broker);
    await queueAt(connection, "in-order");
    const texts = Array.from({ length: 500 }, (_, index) => String(index));
    await Promise.all(texts.map((text) => connection.publish(message("in-order.x", text))));
    await connection.close();

    await broker.kill();
    await broker.start();
    const again = await connectTo(broker.url);
    const found: (string | null)[] = [];
    for (
      let next = await takeFrom(again, "in-order");
      next;
      next = await takeFrom(again, "in-order")
    )
      found.push(next.bodyToString());
    expect(found).toEqual(texts);
    await again.close();
  });

  it("tells of what no queue takes, and of nothing else that is under way", async () => {
    const connection = await openConnection(broker);
    await queueAt(connection, "routable");
    const results = await Promise.allSettled(
      ["routable.x", "nobody.x", "routable.x"].map((key) => connection.publish(message(key))),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(String((results[1] as PromiseRejectedResult).reason)).toMatch(/NO_ROUTE.*declare/);
    expect(await readyIn(connection, "routable")).toBe(2);
    await connection.close();
  });

  it("tells of what the broker refuses", async () => {
    const connection = await openConnection(broker);
    await queueAt(connection, "full", { "x-max-length": 1, "x-overflow": "reject-publish" });
    await connection.publish(message("full.x"));
    await expect(connection.publish(message("full.x"))).rejects.toThrow(/rejected/);
    expect(await readyIn(connection, "full")).toBe(1);
    await connection.close();
  });

  it("fails on what is under way when the exchange is gone, and the connection ends", async () => {
    const connection = await openConnection(broker);
    await expect(connection.publish(message("x", "{}", "nowhere"))).rejects.toThrow(/NOT_FOUND/);
    expect((await connection.lost).message).toContain("NOT_FOUND");
  });

  it("fails when the confirm is lost and the connection cut, though the broker has it", async () => {
    const proxy = new LossyProxy(broker.port);
    const port = await proxy.listen();
    const connection = await openConnection(broker);
    await queueAt(connection, "unconfirmed");
    const lossy = await connectTo(broker.url.replace(`:${broker.port}/`, `:${port}/`));
    proxy.isDeaf = true;
    const sent = lossy.publish(message("unconfirmed.x"));
    sent.catch(() => {});
    while ((await readyIn(connection, "unconfirmed")) === 0);
    proxy.cut();
    await expect(sent).rejects.toThrow(/did not take unconfirmed/);
    expect(await readyIn(connection, "unconfirmed")).toBe(1);
    proxy.close();
    await connection.close();
  });

  it("fails when no confirm comes for long, rather than hang", async () => {
    const proxy = new LossyProxy(broker.port);
    const port = await proxy.listen();
    const lossy = await connectTo(broker.url.replace(`:${broker.port}/`, `:${port}/`));
    proxy.isDeaf = true;
    await expect(lossy.publish(message("kitchen.x"))).rejects.toThrow(/no confirm within 6 s/);
    await expect(lossy.probe()).rejects.toThrow(/does not answer/);
    lossy.cut("done");
    proxy.close();
  });

  it("fails when an operator closes the connection", async () => {
    const connection = await openConnection(broker);
    const list = async () =>
      (await (await broker.api("GET", "/api/connections")).json()) as { name: string }[];
    let connections = await list();
    // The management hears of connections every few seconds.
    for (; connections.length === 0; connections = await list());
    for (const { name } of connections) {
      await broker.api("DELETE", `/api/connections/${encodeURIComponent(name)}`);
    }
    expect((await connection.lost).message).toContain("CONNECTION_FORCED");
    await expect(connection.publish(message("kitchen.x"))).rejects.toThrow(/did not take kitchen/);
  });
});

describe("the topology", () => {
  it("is declared as often as one likes, and what is there is left alone", async () => {
    const connection = await openConnection(broker);
    await connection.publish(message("kitchen.x"));
    const before = await readyIn(connection, "kitchen");
    const again = await declareTopology(connection, topology, { look: true });
    expect(new Set(again.map(({ outcome }) => outcome))).toEqual(new Set(["there", "declared"]));
    expect(await readyIn(connection, "kitchen")).toBe(before);
    const more = await declareTopology(connection, topologyOf(["another"]), { look: true });
    expect(more.filter(({ outcome }) => outcome === "made")).toEqual([
      { what: "queue another", outcome: "made" },
    ]);
    await connection.close();
  });

  it("says what is there with other arguments, and declares the rest", async () => {
    const connection = await openConnection(broker);
    await queueAt(connection, "otherwise", { "x-max-length": 3 });
    const declared = await declareTopology(connection, topologyOf(["otherwise", "afterwards"]));
    const failed = declared.filter(({ outcome }) => outcome === "failed");
    expect(failed).toMatchObject([
      { what: "queue otherwise", error: expect.stringContaining("other arguments") as string },
    ]);
    await connection.publish(message("afterwards.x"));
    await connection.close();
  });

  it("needs a user who may configure it, and says so", async () => {
    await broker.api("PUT", "/api/users/guest2", { password: "guest2", tags: "" });
    const rights = { configure: "^$", write: ".*", read: ".*" };
    await broker.api("PUT", "/api/permissions/%2F/guest2", rights);
    const url = new URL(broker.url);
    [url.username, url.password] = ["guest2", "guest2"];
    const connection = await connectTo(url.href);
    const declared = await declareTopology(connection, topologyOf(["unseen"]));
    expect(declared.find(({ what }) => what === "queue unseen")).toMatchObject({
      outcome: "failed",
      error: expect.stringContaining("may not configure") as string,
    });
    await connection.publish(message("kitchen.x"));
    await connection.close();
  });
});
