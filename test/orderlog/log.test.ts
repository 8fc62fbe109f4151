import { env, exports } from "cloudflare:workers";
import {
  createMessageBatch,
  createScheduledController,
  evictDurableObject,
  getQueueResult,
  runInDurableObject,
  createExecutionContext,
} from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import type { LogCalls, LoggedEntry } from "../../services/contracts/log.ts";
import { append, readLog, type LogEntry } from "../../services/orderlog/log.ts";
import worker from "../../services/orderlog/worker.ts";
import type { Caller } from "../../src/contract/caller.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { realmOfOwn } from "../../src/contract/realm.ts";
import { tokenFor } from "../support/client.ts";

const { LOG, TAILS } = env as unknown as { LOG: D1Database; TAILS: DurableObjectNamespace };
const workerEnv = env as never;
let counter = 0;
const tokenBearer = async (caller: Caller) => `Bearer ${await tokenFor(caller)}`;
const freshTenant = () => `log-${(counter += 1)}`;

const envelope = (tenant: string, type: string, subject: string, more: object = {}) => ({
  tenant,
  event: {
    ...{ specversion: "1.0", id: crypto.randomUUID(), source: "/orders/x", type, subject },
    ...{ time: "2030-01-01T14:00:00+02:00", data: { n: 1 } },
    ...more,
  },
});

async function deliver(bodies: object[]) {
  const messages = bodies.map((body) => ({
    ...{ id: crypto.randomUUID(), timestamp: new Date(), attempts: 1, body },
  }));
  const batch = createMessageBatch("orderlog", messages);
  await worker.queue(batch, workerEnv);
  return getQueueResult(batch, createExecutionContext());
}

async function read(
  tenant: string,
  query = "",
): Promise<{ status: number; entries: LoggedEntry[] }> {
  const response = await worker.fetch(
    new Request(`https://log.test/log?${query}`, {
      headers: {
        Authorization: await tokenBearer({ tenant, subject: "staff", roles: ["service"] }),
      },
    }),
    workerEnv,
  );
  const body = (await response.json()) as { entries: LoggedEntry[] };
  return { status: response.status, entries: body.entries };
}

async function follow(
  tenant: string,
  query = "",
  { confirms = true } = {},
): Promise<{ shown: LoggedEntry[]; asked: unknown[]; socket: WebSocket }> {
  const response = await worker.fetch(
    new Request(`https://log.test/tail?${query}`, {
      headers: {
        Authorization: await tokenBearer({ tenant, subject: "staff", roles: ["service"] }),
        Upgrade: "websocket",
      },
    }),
    workerEnv,
  );
  expect(response.status).toBe(101);
  const socket = response.webSocket!;
  const shown: LoggedEntry[] = [];
  const asked: unknown[] = [];
  socket.accept();
  socket.addEventListener("message", ({ data }) => {
    const frame = JSON.parse(data as string) as LoggedEntry | { confirm: number };
    if (!("confirm" in frame)) return void shown.push(frame);
    asked.push(frame);
    if (confirms) socket.send(data as string);
  });
  return { shown, asked, socket };
}

describe("the log", () => {
  it("is found by order, kind and time, in pages", async () => {
    const tenant = freshTenant();
    await deliver([
      envelope(tenant, "order.confirmed", "orders/1"),
      envelope(tenant, "order.delivered", "orders/1", { time: "2030-01-02T00:00:00Z" }),
      envelope(tenant, "user.registered", "registrations/2"),
    ]);
    const types = async (query: string) =>
      (await read(tenant, query)).entries.map(({ type }) => type);
    expect(await types("")).toEqual(["order.confirmed", "order.delivered", "user.registered"]);
    expect(await types("order=orders/1")).toEqual(["order.confirmed", "order.delivered"]);
    expect(await types("type=order.*")).toEqual(["order.confirmed", "order.delivered"]);
    expect(await types("type=user.registered")).toEqual(["user.registered"]);
    // 14:00 two hours east of Greenwich is noon.
    expect(await types("to=2030-01-01T12:00:00Z")).toEqual([]);
    expect(await types("from=2030-01-01T12:00:00Z&to=2030-01-01T12:00:01Z")).toEqual([
      ...["order.confirmed", "user.registered"],
    ]);
    const [first] = (await read(tenant, "limit=1")).entries;
    expect(await types(`after=${first!.position}&limit=1`)).toEqual(["order.delivered"]);
    expect((await read(freshTenant())).entries).toEqual([]);
  });

  it.each([
    ...["order=one", "type=*", "type=a*b", "from=yesterday", "limit=0", "limit=x", "more=1"],
    "from=2030-01-01T12:00:00%2B05",
  ])("refuses %s", async (query) => {
    expect((await read("log-bad", query)).status).toBe(422);
  });

  it("is read by RPC as by HTTP, by staff alone, and what is asked for is looked at", async () => {
    const tenant = freshTenant();
    await deliver([envelope(tenant, "line", "orders/1")]);
    const { Log } = exports as unknown as { Log: LogCalls };
    const asking = (roles: string[]) => ({
      caller: { tenant, subject: "s", roles },
      authorization: "",
    });
    const { entries } = await read(tenant);
    expect(await Log.entries(asking(["service"]), { limit: "1" })).toEqual({
      ...{ ok: true, value: entries },
    });
    expect(await Log.entries(asking(["customer"]), {})).toMatchObject({ problem: { status: 403 } });
    expect(await Log.entries(asking(["service"]), { limit: "x" })).toMatchObject({
      problem: { status: 422 },
    });
  });

  it("costs a thousand lines at most eleven statements, and has each once", async () => {
    const tenant = freshTenant();
    const bodies = Array.from({ length: 1_000 }, (_, index) =>
      envelope(tenant, "line", `orders/${index % 7}`),
    );
    const prepare = vi.spyOn(LOG, "prepare");
    try {
      // As the queue brings them: a hundred at once.
      for (let from = 0; from < 1_000; from += 100) await deliver(bodies.slice(from, from + 100));
      expect(prepare.mock.calls.length).toBeLessThanOrEqual(11);
    } finally {
      prepare.mockRestore();
    }
    await deliver(bodies.slice(950));
    expect((await read(tenant, "limit=1000")).entries).toHaveLength(1_000);
  });

  it("keeps a jurisdiction's lines to it, though they have the same ids", async () => {
    const tenant = freshTenant();
    const here = envelope(tenant, "line", "orders/1");
    await deliver([here, { ...here, jurisdiction: "eu" }]);
    const all = await LOG.prepare("SELECT jurisdiction FROM log WHERE tenant = ?")
      .bind(tenant)
      .all<{ jurisdiction: string }>();
    expect(all.results.map(({ jurisdiction }) => jurisdiction).toSorted()).toEqual(["", "eu"]);
    expect((await read(tenant)).entries).toHaveLength(1);
  });

  it("buries what can't be read, and keeps its neighbours", async () => {
    const tenant = freshTenant();
    const { explicitAcks, retryMessages } = await deliver([
      { tenant, event: { type: "no event" } },
      envelope(tenant, "line", "orders/1"),
    ]);
    expect([explicitAcks.length, retryMessages.length]).toEqual([2, 0]);
    expect((await read(tenant)).entries).toHaveLength(1);
  });

  it("takes what the code of before writes, which names neither jurisdiction nor when", async () => {
    const tenant = freshTenant();
    await LOG.prepare(
      "INSERT OR IGNORE INTO log (tenant, source, id, type, subject, time, data) VALUES (?, '/s', 'i', 'line', 'orders/1', '2030-01-01T00:00:00Z', 'null')",
    )
      .bind(tenant)
      .run();
    await worker.scheduled(createScheduledController(), workerEnv);
    expect((await read(tenant)).entries).toHaveLength(1);
  });

  it("writes what it can read, whatever else came with it", async () => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    const tenant = freshTenant();
    let deep: unknown = "bottom";
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    // What JSON can't write comes as the queue has it, which a batch of the test kit can't hold.
    const bodies = [
      { tenant, event: { deep } },
      { tenant, event: { size: 1n } },
      envelope(tenant, "line", "orders/1"),
    ];
    const messages = bodies.map((body) => ({
      ...{ id: crypto.randomUUID(), timestamp: new Date(), attempts: 3, body },
      ...{ ack: vi.fn(), retry: vi.fn() },
    }));
    // As the real one, it takes nothing that JSON can't write.
    const DEAD_LETTERS = { send: async (letter: unknown) => void JSON.stringify(letter) };
    await worker.queue(
      { queue: "orderlog", messages } as unknown as MessageBatch,
      {
        ...(workerEnv as object),
        ...{ DEAD_LETTERS },
      } as never,
    );
    const [first, second, good] = messages;
    expect(good!.ack).toHaveBeenCalledOnce();
    for (const bad of [first, second]) expect(bad!.retry).toHaveBeenCalledOnce();
    expect((await read(tenant)).entries).toHaveLength(1);
    errors.mockRestore();
  });

  it("forgets what is older than its retention, and nothing else", async () => {
    const tenant = freshTenant();
    const realm = realmOfOwn({ tenant });
    const day = 86_400_000;
    const entry = (id: string) =>
      ({ realm, source: "/s", id, type: "line", time: "2030-01-01T00:00:00Z" }) as LogEntry;
    await append(LOG, [entry("old")], Date.now() - 91 * day);
    await append(LOG, [entry("young")], Date.now() - 89 * day);
    await worker.scheduled(createScheduledController(), workerEnv);
    const left = await readLog(LOG, realm, { after: 0, limit: 10 });
    expect(left.map(({ id }) => id)).toEqual(["young"]);
  });
});

describe("the tail", () => {
  it("shows what was there after a position, then what comes, each once and in its order", async () => {
    const tenant = freshTenant();
    await deliver([envelope(tenant, "first", "orders/1"), envelope(tenant, "second", "orders/1")]);
    const [first] = (await read(tenant)).entries;
    const { shown, socket } = await follow(tenant, `after=${first!.position}`);
    await expect.poll(() => shown.map(({ type }) => type)).toEqual(["second"]);
    const many = Array.from({ length: 300 }, (_, index) =>
      envelope(tenant, `n${index}`, "orders/1"),
    );
    await Promise.all([0, 100, 200].map((from) => deliver(many.slice(from, from + 100))));
    await expect.poll(() => shown.length).toBe(301);
    const positions = shown.map(({ position }) => position);
    expect(positions).toEqual(positions.toSorted((one, other) => one - other));
    expect(shown).toEqual((await read(tenant, `limit=1000&after=${first!.position}`)).entries);
    socket.close();
  });

  it("shows each once, though the log can't be read for one of those who follow", async () => {
    const tenant = freshTenant();
    const [{ shown }] = [await follow(tenant), await follow(tenant, "type=broken")];
    let openGate = (): void => {};
    const gate = new Promise<void>((resolve) => (openGate = resolve));
    let failed = 0;
    const slow = {
      prepare: (query: string) => ({
        bind: (...values: unknown[]) => ({
          all: async () => {
            if (values.includes("broken")) throw new Error(`D1 is down, ${(failed += 1)}`);
            await gate;
            return LOG.prepare(query)
              .bind(...values)
              .all();
          },
        }),
      }),
    };
    const object = objectIn(TAILS, realmOfOwn({ tenant }));
    await runInDurableObject(object, (tail) => Object.assign(tail, { env: { LOG: slow } }));
    const errors = vi.spyOn(console, "error").mockReturnValue();
    await deliver([envelope(tenant, "first", "orders/1")]);
    // The one has failed, and the other is still being read for.
    await expect.poll(() => failed).toBe(1);
    await deliver([envelope(tenant, "second", "orders/1")]);
    openGate();
    await deliver([envelope(tenant, "third", "orders/1")]);
    await expect.poll(() => shown.map(({ type }) => type)).toContain("third");
    errors.mockRestore();
    expect(shown.map(({ type }) => type)).toEqual(["first", "second", "third"]);
  });

  it("shows nothing more to whose token has ended, though its alarm is late", async () => {
    const tenant = freshTenant();
    const { shown, socket } = await follow(tenant);
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(code));
    });
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 86_400_000);
    await deliver([envelope(tenant, "later", "orders/1")]);
    vi.useRealTimers();
    expect([await closed, shown]).toEqual([1008, []]);
  });

  it("goes on where it was after its object has slept, by order and by kind", async () => {
    const tenant = freshTenant();
    const { shown } = await follow(tenant, "order=orders/1&type=order.*");
    await evictDurableObject(objectIn(TAILS, realmOfOwn({ tenant })), { webSockets: "hibernate" });
    await deliver([
      envelope(tenant, "order.baked", "orders/2"),
      envelope(tenant, "line", "orders/1"),
      envelope(tenant, "order.baked", "orders/1"),
    ]);
    await expect
      .poll(() => shown.map(({ type, subject }) => [type, subject]))
      .toEqual([["order.baked", "orders/1"]]);
  });

  it("sends who doesn't confirm a megabyte and no more, and then its end; others go on", async () => {
    const tenant = freshTenant();
    const large = { text: "x".repeat(50_000) };
    const many = Array.from({ length: 40 }, (_, index) =>
      envelope(tenant, `n${index}`, "orders/1", { data: large }),
    );
    await deliver(many);
    const mute = await follow(tenant, "after=0", { confirms: false });
    const other = await follow(tenant, "after=0");
    await expect.poll(() => other.shown.length).toBe(40);
    expect(other.asked.length).toBeGreaterThan(1);
    expect(mute.shown).toHaveLength(21);
    expect(mute.asked).toHaveLength(1);
    const closed = new Promise<number>((resolve) => {
      mute.socket.addEventListener("close", ({ code }) => resolve(code));
    });
    vi.useFakeTimers({ toFake: ["Date"] });
    for (const later of [0, 10_001]) {
      vi.setSystemTime(Date.now() + later);
      await deliver([envelope(tenant, `later-${later}`, "orders/1")]);
    }
    vi.useRealTimers();
    expect(await closed).toBe(4008);
    expect(mute.shown).toHaveLength(21);
    await expect.poll(() => other.shown.length).toBe(42);
    // What nobody has asked for is no answer.
    const liar = await follow(tenant);
    const ended = new Promise<number>((resolve) => {
      liar.socket.addEventListener("close", ({ code }) => resolve(code));
    });
    liar.socket.send(`{"confirm":1}`);
    expect(await ended).toBe(1008);
  });

  it("is another tenant's own", async () => {
    const [one, other] = [freshTenant(), freshTenant()];
    const [mine, theirs] = [await follow(one), await follow(other)];
    await deliver([envelope(one, "mine", "orders/1"), envelope(other, "theirs", "orders/1")]);
    await expect.poll(() => [mine.shown.length, theirs.shown.length]).toEqual([1, 1]);
    expect(mine.shown[0]!.type).toBe("mine");
  });

  it("is refused to customers, and where it is no WebSocket", async () => {
    const ask = async (roles: string[]) =>
      (
        await worker.fetch(
          new Request("https://log.test/tail", {
            headers: { Authorization: await tokenBearer({ tenant: "t", subject: "s", roles }) },
          }),
          workerEnv,
        )
      ).status;
    expect([await ask(["customer"]), await ask(["service"])]).toEqual([403, 426]);
  });
});
