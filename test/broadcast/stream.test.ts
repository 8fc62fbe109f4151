import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  call,
  eventually,
  freshId,
  history,
  operator,
  send,
  start,
  stubOf,
} from "../support/client.ts";
import { TestSocket } from "../support/socket.ts";

const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const sees = (socket: TestSocket, count: number) =>
  eventually(
    () => Promise.resolve(socket.seqs),
    (seqs) => seqs.length >= count,
  );
const range = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

afterEach(() => {
  vi.useRealTimers();
});

describe("a watcher", () => {
  it("gets the view first, then every transition, as CloudEvents", async () => {
    const id = await start("orders", addPizza("p1"));
    const socket = await TestSocket.open(`/orders/${id}/stream`, { as: operator });
    await send("orders", id, addPizza("p2"));
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    await sees(socket, 3);
    expect(socket.protocol).toBe("cloudevents.json");
    expect(socket.messages[0]).toMatchObject({
      specversion: "1.0",
      type: "durachart.view",
      source: `/orders/${id}`,
      subject: `orders/${id}`,
      data: { id, seq: 2 },
    });
    expect(socket.seqs.slice(0, 3)).toEqual([3, 4, 5]);
    expect(socket.entries).toEqual((await history("orders", id)).slice(2));
    socket.close();
  });

  it("that comes back gets what it missed, without a gap or a double", async () => {
    const id = await start("probes");
    const first = await TestSocket.open(`/probes/${id}/stream`);
    for (let count = 0; count < 3; count++) await send("probes", id, { type: "COUNT" });
    await sees(first, 3);
    first.close();
    for (let count = 0; count < 5; count++) await send("probes", id, { type: "COUNT" });
    const last = first.seqs.at(-1)!;
    const [second] = await Promise.all([
      TestSocket.open(`/probes/${id}/stream?after=${last}`),
      ...range(1, 5).map(() => send("probes", id, { type: "COUNT" })),
    ]);
    await send("probes", id, { type: "COUNT" });
    await sees(second, 11);
    expect([...first.seqs, ...second.seqs]).toEqual(range(2, 15));
    second.close();
  });

  it("goes on over an eviction", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`);
    await send("probes", id, { type: "COUNT" });
    await evictDurableObject(stubOf("probes", id));
    await send("probes", id, { type: "COUNT" });
    await sees(socket, 2);
    expect(socket.seqs).toEqual([2, 3]);
    socket.close();
  });

  it("is answered its ping by the platform", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`);
    socket.send("ping");
    await eventually(
      () => Promise.resolve(socket.raw),
      (raw) => raw.includes("pong"),
    );
    socket.close();
  });

  it("that offers no subprotocol gets none; another one is refused", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`, { protocol: null });
    expect(socket.protocol).toBeNull();
    socket.close();
    const other = TestSocket.open(`/probes/${id}/stream`, { protocol: "soap" });
    await expect(other).rejects.toThrow(/400.*subprotocol/s);
  });

  it("must ask for a WebSocket, of an instance that exists, after a number", async () => {
    const id = await start("probes");
    expect((await call("GET", `/probes/${id}/stream`)).status).toBe(426);
    await expect(TestSocket.open(`/probes/${freshId()}/stream`)).rejects.toThrow(/404/);
    await expect(TestSocket.open(`/probes/${id}/stream?after=-1`)).rejects.toThrow(/400/);
  });

  it("that speaks out of turn is closed", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`);
    socket.send("hello");
    await eventually(
      () => Promise.resolve(socket.closed),
      (closed) => closed !== null,
    );
    expect(socket.closed).toMatchObject({ code: 4400 });
  });
});

describe("a watcher that reads", () => {
  const grow = (id: string) => send("probes", id, { type: "GROW", data: { bytes: 60_000 } });
  /** Every GROW is some 120 kB on the wire: the data, and the change it made. */
  async function flood(id: string, events: number): Promise<void> {
    for (let sent = 0; sent < events; sent++) {
      await grow(id);
      await send("probes", id, { type: "GROW", data: { bytes: 0 } });
    }
  }

  it("too slowly is sent nothing more, then closed; others and the instance go on", async () => {
    const id = await start("probes");
    const slow = await TestSocket.open(`/probes/${id}/stream`);
    await flood(id, 20);
    // Who has not read what it is asked can only guess what to say.
    for (const seq of range(1, 60)) slow.send(`confirm ${seq}`);
    await flood(id, 2);
    const atItsLimit = slow.seqs.length;
    expect(slow.seqs).toEqual(range(2, atItsLimit + 1));
    expect(atItsLimit).toBeLessThan(41);
    expect(slow.messages.filter(({ type }) => type === "durachart.confirm")).toHaveLength(1);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 10_001);
    expect((await send("probes", id, { type: "COUNT" })).status).toBe(200);
    await eventually(
      () => Promise.resolve(slow.closed),
      (closed) => closed !== null,
    );
    expect(slow.closed).toMatchObject({ code: 4008 });
    expect(slow.seqs).toHaveLength(atItsLimit);
  });

  it("and says so gets everything, however much it missed", async () => {
    const id = await start("probes");
    await flood(id, 30);
    const socket = await TestSocket.open(`/probes/${id}/stream?after=0`);
    let confirmed = 0;
    await eventually(
      () => {
        const asked = socket.messages.filter(({ type }) => type === "durachart.confirm");
        for (const { data } of asked.slice(confirmed)) {
          socket.send(`confirm ${(data as { seq: number }).seq}`);
        }
        confirmed = asked.length;
        return Promise.resolve(socket.seqs);
      },
      (seqs) => seqs.length === 61,
    );
    expect(socket.seqs).toEqual(range(1, 61));
    expect(confirmed).toBeGreaterThan(1);
    socket.close();
  });
});

/** Lets messages that are under way arrive. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 200));

const hasClosed = (socket: TestSocket, code: number) =>
  eventually(
    () => Promise.resolve(socket.closed?.code),
    (found) => found === code,
  );

describe("a socket is closed", () => {
  const alarmOf = (id: string) =>
    runInDurableObject(stubOf("probes", id), (_, { storage }) => storage.getAlarm());

  it.each<[string, string | ArrayBuffer, number]>([
    ["a message of over 64 KiB", "x".repeat(65_537), 1009],
    ["one of fewer characters, and more bytes", `{"a":"${"€".repeat(22_000)}"}`, 1009],
    ["one that is no text", new ArrayBuffer(8), 1003],
    ["one that says nothing", "hello", 4400],
  ])("on %s, and nothing has changed", async (_, message, code) => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    socket.send(message);
    await hasClosed(socket, code);
    expect(await history("probes", id)).toHaveLength(1);
  });

  it("on more than 200 messages in ten seconds, over hibernation too; pings don't count", async () => {
    const id = await start("probes");
    vi.useFakeTimers({ toFake: ["Date"] });
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    for (let sent = 0; sent < 150; sent++) socket.send("confirm 1");
    for (let sent = 0; sent < 100; sent++) socket.send("ping");
    await evictDurableObject(stubOf("probes", id), { webSockets: "hibernate" });
    for (let sent = 0; sent < 50; sent++) socket.send("confirm 1");
    await settled();
    expect(socket.closed).toBeNull();
    vi.setSystemTime(Date.now() + 10_000);
    for (let sent = 0; sent < 200; sent++) socket.send("confirm 1");
    await settled();
    expect(socket.closed).toBeNull();
    socket.send("confirm 1");
    await hasClosed(socket, 1008);
  });

  it("when its token ends, by the alarm, after hibernation too, and others stay", async () => {
    const id = await start("probes");
    const began = Date.now();
    const short = await TestSocket.open(`/probes/${id}/stream`, { as: operator, lifetime: 60 });
    const long = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    const at = (await alarmOf(id))!;
    expect(at).toBeGreaterThan(began + 58_000);
    expect(at).toBeLessThanOrEqual(Date.now() + 60_000);
    await evictDurableObject(stubOf("probes", id), { webSockets: "hibernate" });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(at);
    await runDurableObjectAlarm(stubOf("probes", id));
    await hasClosed(short, 4401);
    expect(long.closed).toBeNull();
    expect(await alarmOf(id)).toBeGreaterThan(at);
    await send("probes", id, { type: "COUNT" });
    await sees(long, 1);
    expect(short.seqs).toEqual([]);
    long.close();
  });
});

describe("a socket whose token has ended", () => {
  it("is shown nothing more, though the alarm that closes it is late", async () => {
    const id = await start("probes");
    const short = await TestSocket.open(`/probes/${id}/stream`, { as: operator, lifetime: 60 });
    const long = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 61_000);
    await send("probes", id, { type: "COUNT" });
    await sees(long, 1);
    await hasClosed(short, 4401);
    expect(short.seqs).toEqual([]);
    long.close();
  });
});

describe("a CloudEvent over the socket", () => {
  const event = (attributes: object = {}) => ({
    ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/browser", type: "COUNT" },
    ...attributes,
  });
  const receipts = (socket: TestSocket) =>
    socket.messages.filter(({ type }) => type === "durachart.receipt").map(({ data }) => data);
  const answered = (socket: TestSocket, count: number) =>
    eventually(
      () => Promise.resolve(receipts(socket)),
      (found) => found.length >= count,
    );

  it("is applied once, as its sender's, and answered with a receipt", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    const one = event({ partitionkey: "p" });
    socket.send(JSON.stringify(one));
    socket.send(JSON.stringify(one));
    expect(await answered(socket, 2)).toEqual([
      { of: { source: "/browser", id: one.id }, outcome: "applied", epoch: 1, seq: 2 },
      {
        ...{ of: { source: "/browser", id: one.id }, outcome: "duplicate", epoch: 1, seq: 2 },
        first: { outcome: "applied", seq: 2 },
      },
    ]);
    const [, entry] = await history("probes", id);
    expect(entry).toMatchObject({
      by: operator.subject,
      event: { type: "COUNT", attributes: { id: one.id, partitionkey: "p" } },
    });
    await evictDurableObject(stubOf("probes", id), { webSockets: "hibernate" });
    socket.send(JSON.stringify(event()));
    expect((await answered(socket, 3))[2]).toMatchObject({ outcome: "applied", seq: 3 });
    socket.close();
  });

  it("is known again over HTTP", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    const one = event();
    socket.send(JSON.stringify(one));
    await answered(socket, 1);
    const again = await call("POST", `/probes/${id}/events`, {
      headers: { "Content-Type": "application/cloudevents+json" },
      body: JSON.stringify(one),
    });
    expect(again).toMatchObject({ status: 200, body: { outcome: "duplicate" } });
    socket.close();
  });

  it("is refused once the token has ended that the socket was opened with", async () => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`, { as: operator });
    // Tests' tokens are good for five minutes.
    vi.setSystemTime(Date.now() + 6 * 60_000);
    socket.send(JSON.stringify(event()));
    await hasClosed(socket, 4401);
    vi.useRealTimers();
    expect(await history("probes", id)).toHaveLength(1);
  });

  it.each<[string, string, number]>([
    ["no JSON", "{", 400],
    ["none at all", "{}", 400],
    ["of another version", JSON.stringify(event({ specversion: "0.3" })), 400],
    ["about another instance", JSON.stringify(event({ subject: "probes/other" })), 400],
    ["unknown", JSON.stringify(event({ type: "UNKNOWN" })), 422],
    ["not the sender's to send", JSON.stringify(event()), 403],
  ])("is answered with a problem when it is %s, and changes nothing", async (_, text, status) => {
    const id = await start("probes");
    const socket = await TestSocket.open(`/probes/${id}/stream`);
    socket.send(text);
    expect(await answered(socket, 1)).toMatchObject([{ problem: { status } }]);
    expect(await history("probes", id)).toHaveLength(1);
    expect(socket.closed).toBeNull();
    socket.close();
  });
});
