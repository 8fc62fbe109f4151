import { describe, expect, it } from "vitest";
import { tenant } from "../../src/cli/secrets.ts";
import type { Letter, ListedLetter } from "../../src/dead-letters/letters.ts";
import { over } from "../support/shop-transport.ts";
import {
  addPizza,
  busyTenant,
  call,
  cloudEvent,
  confirmedOrder,
  enqueue,
  eventually,
  fleet,
  freshId,
  letters,
  reach,
  send,
  view,
} from "../support/shop.ts";

describe("a tenant that has asked too much this minute", () => {
  const minute = 60_000;

  it("is told so at every door, by the one count that there is", async () => {
    const orchestrator = fleet.harness.getWorker("durachart");
    const counts = await orchestrator.getDurableObjectStorage("TENANTS" as never, {
      name: busyTenant,
    });
    await counts.exec(
      "CREATE TABLE IF NOT EXISTS usage (kind TEXT PRIMARY KEY, began INTEGER NOT NULL, used INTEGER NOT NULL)",
    );
    const api = [
      "orders",
      "catalog/products",
      "kitchen/pending",
      "delivery/pending",
      "log",
      "avatars/x",
    ];
    const doors = [
      ...[...api, "support/documents", "mailbox", "chat/orders/x/messages"].map(
        (one) => `/api/${one}`,
      ),
      ...["/orders", "/kitchen/pending", "/delivery/pending", "/orderlog/log"],
    ];
    let began: number;
    let met: [string, number][];
    do {
      began = Math.floor(Date.now() / minute) * minute;
      await counts.exec("INSERT OR REPLACE INTO usage VALUES ('requests', ?, 60000)", began);
      met = (await Promise.all(
        doors.map(async (path) => [path, (await call("busy", "GET", path)).status] as const),
      )) as [string, number][];
    } while (Date.now() >= began + minute);
    expect(met).toEqual(doors.map((path) => [path, 429]));
    expect((await call("staff", "GET", "/api/log")).status).toBe(200);
  });
});

describe("the stock", () => {
  const stock = () =>
    call<{ onHand: number; reserved: number }>(
      ...(["staff", "GET", "/api/catalog/products/mango-tango/stock"] as const),
    );

  it("has nothing for others of what the kitchen baked after it had failed", async () => {
    const id = await confirmedOrder();
    const isReserved = ({ body }: Awaited<ReturnType<typeof stock>>) => body.reserved === 1;
    const { onHand } = (await eventually(stock, isReserved)).body;
    await send(id, { type: "PIZZA_FAILED", data: { reason: "cold oven" } }, "staff");
    await eventually(stock, ({ body }) => body.reserved === 0);
    await send(id, { type: "PIZZA_READY" }, "staff");
    expect((await reach(id, "deliverPizza")).status).toBe("active");
    const used = await eventually(stock, ({ body }) => body.onHand < onHand);
    expect(used.body).toMatchObject({ onHand: onHand - 1, reserved: 0 });
    await send(id, { type: "PIZZA_DELIVERED" }, "staff");
    await reach(id, "delivered");
    expect((await stock()).body).toMatchObject({ onHand: onHand - 1, reserved: 0 });
  });

  it("of a terminated order comes back when that is rewound to where it had it, and cancelled", async () => {
    const id = await confirmedOrder();
    const has = (reserved: number) => eventually(stock, ({ body }) => body.reserved === reserved);
    await has(1);
    const { seq } = await view(id);
    await call("olga", "POST", `/orders/${id}/terminate`, { reason: "a mistake" });
    expect((await view(id)).status).toBe("stopped");
    await has(1);
    await call("olga", "POST", `/orders/${id}/rewind`, { to: seq });
    expect((await send(id, { type: "CANCEL_ORDER" })).status).toBe(200);
    await has(0);
  });
});

describe("the list", () => {
  it("has an order as it is, soon after", async () => {
    const id = freshId();
    const customer = `customer of ${id}`;
    const body = { id, input: { customer }, event: addPizza("p1") };
    await call("olga", "POST", "/orders", body);
    const query = `/orders?attribute.customer=${encodeURIComponent(customer)}`;
    const find = (more: string) =>
      eventually(
        async () =>
          (await call<{ instances: object[] }>("olga", "GET", query + more)).body.instances,
        (instances) => instances.length > 0,
      );
    expect(await find("&status=active")).toMatchObject([
      {
        id,
        state: expect.objectContaining({ orderPizza: expect.any(String) as string }) as object,
      },
    ]);
    await send(id, { type: "CANCEL_ORDER" }, "olga");
    expect(await find("&status=done")).toMatchObject([
      { id, state: "cancelled", attributes: { customer }, due: null },
    ]);
  });
});

describe("dead letters", () => {
  it.each([
    ["durachart-kitchen", "EVENTS_QUEUE", "durachart-events"],
    ["durachart", "KITCHEN_QUEUE", "kitchen"],
    ["durachart", "DELIVERY_QUEUE", "delivery"],
    ["durachart", "ORDERLOG_QUEUE", "orderlog"],
    ["durachart", "MAILS_QUEUE", "mails"],
    ["durachart", "LIST_QUEUE", "durachart-list"],
  ])("from %s's %s are filed with their reason", async (worker, binding, queue) => {
    const marker = crypto.randomUUID();
    const began = Date.now() - 1_000;
    await enqueue(worker, binding, { tenant, poison: marker });
    const isIt = ({ origin, filedAt }: ListedLetter) =>
      origin === over.originOf(queue) && Date.parse(filedAt) >= began;
    const found = await eventually(letters, (all) => all.some(isIt));
    const { id, reason } = found.find(isIt)!;
    expect(reason).toMatchObject(over.refusalBy(queue));
    const { body } = await call<Letter>("undertaker", "GET", `/dead-letters/${id}`);
    expect(JSON.stringify(body.body)).toContain(marker);
  });

  it("are sent again once what was wrong is mended, and are gone from the list", async () => {
    const id = freshId();
    const event = cloudEvent("PIZZA_FAILED", `orders/${id}`, { data: { reason: 5 } });
    await call("carla", "POST", "/orders", { id, event: addPizza("p1") });
    await enqueue("durachart-kitchen", "EVENTS_QUEUE", event);
    const isIt = ({ subject }: ListedLetter) => subject === `orders/${id}`;
    const letter = (await eventually(letters, (all) => all.some(isIt))).find(isIt)!;
    const redrive = () => call("undertaker", "POST", `/dead-letters/${letter.id}/redrive`);
    const answers = await Promise.all([redrive(), redrive(), redrive()]);
    // Who asks while it is being sent may be told so.
    for (const { status } of answers) expect([200, 409]).toContain(status);
    // Nothing was mended: it dies once more, and is the same letter.
    const dead = await eventually(
      async () => (await call<Letter>("undertaker", "GET", `/dead-letters/${letter.id}`)).body,
      ({ status, history }) => status === "dead" && history.length >= 3,
    );
    const happened = dead.history.map(({ what }) => what);
    expect(happened).toEqual(happened.map((_, at) => (at % 2 === 0 ? "died" : "sent again")));
    expect((await call("undertaker", "DELETE", `/dead-letters/${letter.id}`)).status).toBe(200);
    expect((await letters()).some(isIt)).toBe(false);
  });
});

describe("the shop's doors", () => {
  it.each([
    ...["/kitchen/pending", "/delivery/pending", "/orderlog/log"],
    ...["/orders/x", "/kitchen/nowhere", "/orderlog/nowhere"],
  ])("%s asks for credentials, and staff's where it is theirs", async (path) => {
    expect((await call(null, "GET", path)).status).toBe(401);
    if (!path.startsWith("/orders")) expect((await call("carla", "GET", path)).status).toBe(403);
  });

  it.each(["/healthz", "/kitchen/healthz", "/delivery/healthz", "/orderlog/healthz"])(
    "%s is open",
    async (path) => {
      expect((await call(null, "GET", path)).status).toBe(200);
    },
  );
});
