import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type {
  DeliveryLogEntry,
  DeliveryView,
  EndpointView,
  WebhooksCalls,
} from "../../src/contract/webhooks.ts";
import { MAX_LOG } from "../../src/webhooks/delivery-log.ts";
import { MAX_WAITING } from "../../src/webhooks/outbox.ts";
import { call, operate, operator, send, setTime, start } from "../support/client.ts";
import { remoteSink } from "../support/remote-sink.ts";
import { ring as ringInstance } from "../support/object.ts";
import {
  alarmOf,
  deliveries,
  objectOf,
  query,
  receive,
  register,
  ring,
  stranger,
} from "../support/webhooks.ts";

const began = 1_800_000_000_000;
const hour = 3_600_000;
const day = 24 * hour;

beforeEach(() => setTime(began));

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const cameTo = (path: string) => expect.poll(async () => (await remoteSink.at(path)).length);

describe("a delivery", () => {
  it("is made once of an event that comes twice, for fifteen days", async () => {
    const as = stranger();
    const { path, id } = await register(as);
    for (let time = 0; time < 3; time++) await receive(as, "orders/o-1", "e1");
    await receive(as, "orders/o-1", "e2");
    await cameTo(path).toBe(2);
    const waiting = async () => (await deliveries(as, id)).waiting;
    // What has come is written down a moment later.
    await expect.poll(waiting).toEqual([]);
    setTime(began + 14 * day);
    await receive(as, "orders/o-1", "e1");
    expect(await waiting()).toEqual([]);
    setTime(began + 16 * day);
    await receive(as, "orders/o-2", "e3");
    expect(await query(as, "SELECT count(*) AS n FROM seen")).toEqual([{ n: 1 }]);
  });

  it("is tried for 24 hours, then parked; sent again, it goes once", async () => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    vi.spyOn(Math, "random").mockReturnValue(1);
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, { status: 500 });
    await receive(as, "orders/o-1");
    const failures = async () =>
      (await deliveries(as, id)).log.filter(({ outcome }) => outcome === "failed");
    for (let tries = 1; tries < 12; tries++) {
      await expect.poll(async () => (await failures()).length).toBe(tries);
      const [{ nextTryAt, attempts, error }] = (await deliveries(as, id)).waiting as [DeliveryView];
      const wait = Date.parse(nextTryAt!) - Date.parse((await failures()).at(-1)!.at);
      expect(wait).toBeGreaterThan(500 * 2 ** (tries - 1));
      expect({ attempts, error }).toEqual({ attempts: tries, error: "The endpoint answered 500" });
      // Never early.
      setTime(Date.parse(nextTryAt!) - 60_000);
      await ring(as);
      expect(await alarmOf(as)).toBe(Date.parse(nextTryAt!));
      setTime(Date.parse(nextTryAt!));
      await ring(as);
    }
    setTime(began + day - 1);
    await ring(as);
    setTime(began + day + hour);
    await ring(as);
    await expect.poll(async () => (await deliveries(as, id)).parked.length).toBe(1);
    const { waiting, parked, log } = await deliveries(as, id);
    expect(waiting).toEqual([]);
    expect(log.at(-1)).toMatchObject({ outcome: "parked", status: null, duration: null });
    expect(parked[0]!.error).toContain("24 hours");
    expect(errors.mock.calls.flat().join()).toContain(parked[0]!.id);
    const calls = objectOf(as) as unknown as WebhooksCalls;
    expect(await calls.parked({ tenant: as.tenant })).toEqual(parked);
    // What was set for the try rings once more, and there is nothing left to ring for.
    setTime(began + day + 2 * hour);
    await ring(as);
    expect(await alarmOf(as)).toBeNull();

    const before = (await remoteSink.at(path)).length;
    await remoteSink.answer(path, { status: 200, after: 100 });
    const retry = `/webhooks/${id}/deliveries/${parked[0]!.id}/retry`;
    const asked = await Promise.all([1, 2, 3].map(() => call("POST", retry, { as })));
    expect(asked.map(({ body }) => body["status"])).toEqual(["waiting", "waiting", "waiting"]);
    await expect.poll(async () => (await deliveries(as, id)).log.at(-1)?.outcome).toBe("delivered");
    expect((await call("POST", retry, { as })).body["status"]).toBe("delivered");
    const came = await remoteSink.at(path);
    expect(came).toHaveLength(before + 1);
    expect(new Set(came.map(({ headers }) => headers["webhook-id"]))).toEqual(
      new Set([parked[0]!.id]),
    );
  });

  it("is discarded, and what comes after it goes on", async () => {
    vi.spyOn(console, "error").mockReturnValue();
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, { status: 500 });
    await receive(as, "orders/o-1", "first");
    await receive(as, "orders/o-1", "second");
    await cameTo(path).toBe(1);
    await remoteSink.answer(path, { status: 200 });
    const [first, second] = (await deliveries(as, id)).waiting;
    expect(second!.nextTryAt).toBeNull();
    const discard = `/webhooks/${id}/deliveries/${first!.id}`;
    for (let time = 0; time < 2; time++) {
      const answer = await call("DELETE", discard, { as });
      expect(answer).toMatchObject({ status: 200, body: { status: "discarded" } });
    }
    await cameTo(path).toBe(2);
    expect((await remoteSink.at(path))[1]!.headers["webhook-id"]).toBe(second!.id);
  });

  it.each([
    ["120", 120_000],
    ["999999", hour],
    [new Date(began + 600_000).toUTCString(), 600_000],
  ])("waits as long as Retry-After says: %s", async (header, wait) => {
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, { status: 503, headers: { "Retry-After": header } });
    await receive(as, "orders/o-1");
    await expect.poll(async () => (await deliveries(as, id)).log.length).toBe(1);
    const [{ nextTryAt }] = (await deliveries(as, id)).waiting as [DeliveryView];
    const [{ at, duration }] = (await deliveries(as, id)).log as [DeliveryLogEntry];
    expect(Date.parse(nextTryAt!)).toBeGreaterThanOrEqual(began + wait);
    expect(Date.parse(nextTryAt!)).toBeLessThanOrEqual(Date.parse(at) + duration! + wait);
  });
});

describe("sixteen at once", () => {
  it("is the most, also where many are due at the same time", async () => {
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, { status: 500, headers: { "Retry-After": "60" } });
    for (let order = 0; order < 40; order++) await receive(as, `orders/o-${order}`);
    const tried = async () => (await deliveries(as, id)).log.length;
    await expect.poll(tried).toBe(40);
    await remoteSink.answer(path, "hang");
    // One has its place already, and its lease, when the others come.
    setTime(began + 45_000);
    await receive(as, "orders/o-first");
    await cameTo(path).toBe(41);
    setTime(began + 70_000);
    await ring(as);
    await cameTo(path).toBe(40 + 16);
    // Whatever comes or rings now finds no place.
    await ring(as);
    await receive(as, "orders/o-new");
    expect(await remoteSink.at(path)).toHaveLength(40 + 16);
    const running = await query(as, "SELECT 1 FROM deliveries WHERE due > ?", Date.now());
    expect(running).toHaveLength(16);
    await call("DELETE", `/webhooks/${id}`, { as });
    await remoteSink.answer(path, { status: 200 });
  });
});

describe("what is stored", () => {
  const fill = (as: ReturnType<typeof stranger>, id: string, many: number, state: string) =>
    query(
      as,
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${many})
         INSERT INTO deliveries (id, endpoint, source, message, type, subject, body, state, attempts, due, created_at, since)
         SELECT '${state}' || i, ?, '/s', 'm' || i, 't', 's/' || i, '{}', '${state}', 1, NULL, ?, ? FROM n`,
      ...[id, began, began],
    );

  it("is bounded: what comes to a full endpoint is parked, and with as many parked it is disabled", async () => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    const as = stranger();
    const [full, other] = [await register(as), await register(as)];
    await fill(as, full.id, MAX_WAITING, "waiting");
    await receive(as, "orders/o-1", "e1");
    const { parked } = await deliveries(as, full.id);
    expect(parked).toMatchObject([{ event: { id: "e1" }, status: "parked" }]);
    expect(parked[0]!.error).toContain("waiting for this endpoint already");
    expect(errors.mock.calls.flat().join()).toContain(parked[0]!.id);
    await cameTo(other.path).toBe(1);
    await fill(as, full.id, MAX_WAITING - 2, "parked");
    await receive(as, "orders/o-2", "e2");
    expect((await call("GET", `/webhooks/${full.id}`, { as })).body).toMatchObject({
      ...{ status: "disabled", waiting: 0, parked: 2 * MAX_WAITING },
      reason: "It had 20000 undelivered events",
    });
    await cameTo(other.path).toBe(2);
  });

  it("is a log of a thousand entries an endpoint", async () => {
    const as = stranger();
    const [endpoint, other] = [await register(as), await register(as)];
    for (const { id } of [endpoint, other]) {
      await query(
        as,
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${MAX_LOG})
           INSERT INTO log (endpoint, delivery, type, subject, at, attempt, outcome)
           SELECT ?, 'd' || i, 't', 's/1', 0, 1, 'delivered' FROM n`,
        id,
      );
    }
    await receive(as, "orders/o-1");
    await expect
      .poll(async () => (await deliveries(as, endpoint.id)).log.at(-1)?.type)
      .toBe("order.baked");
    const { log } = await deliveries(as, endpoint.id);
    expect(log).toHaveLength(MAX_LOG);
    expect(log[0]!.delivery).toBe("d2");
    const page = await call<{ log: unknown[] }>(
      "GET",
      `/webhooks/${endpoint.id}/deliveries?limit=10`,
      { as },
    );
    expect(page.body.log).toEqual(log.slice(0, 10));
    const next = /<(.*)>; rel="next"/.exec(page.headers.get("link")!)![1]!;
    const second = await call<{ log: unknown[] }>("GET", next, { as });
    expect(second.body.log).toEqual(log.slice(10, 20));
  });

  it("is nothing for a tenant without endpoints", async () => {
    const as = stranger();
    await receive(as, "orders/o-1");
    expect((await call("GET", "/webhooks", { as })).body).toEqual({ endpoints: [] });
    expect(await query(as, "SELECT name FROM sqlite_master WHERE name = 'deliveries'")).toEqual([]);
  });

  it("is an old key no longer than it signs", async () => {
    const as = stranger();
    const { id } = await register(as);
    const [old] = await query(as, "SELECT position FROM secrets");
    const { body } = await call<EndpointView>("POST", `/webhooks/${id}/rotate`, { as });
    const until = Date.parse(body.olderKeysUntil[0]!);
    expect(until).toBeGreaterThanOrEqual(began + day);
    expect(await alarmOf(as)).toBe(until);
    const kept = () => query(as, "SELECT position FROM secrets ORDER BY position");
    expect(await kept()).toEqual([old, expect.anything()]);
    setTime(until);
    await ring(as);
    expect(await kept()).toHaveLength(1);
    expect(await kept()).not.toContainEqual(old);
  });

  it("is nothing of an instance that was erased, and nothing of it comes in any more", async () => {
    vi.useRealTimers();
    const as = { ...operator };
    const endpoint = await register(as);
    await remoteSink.answer(endpoint.path, { status: 500 });
    const order = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
    const id = await start("orders", order);
    await send("orders", id, { type: "CONFIRM_PIZZA" });
    await send("orders", id, { type: "CANCEL_ORDER" });
    const subject = `orders/${id}`;
    const kept = () =>
      query(
        as,
        "SELECT type FROM deliveries WHERE subject = ?1 UNION ALL SELECT type FROM log WHERE subject = ?1",
        subject,
      );
    await expect.poll(async () => (await kept()).length).toBeGreaterThan(2);
    expect((await operate("orders", id, "erase", { force: true })).status).toBe(200);
    await ringInstance("orders", id);
    await expect.poll(kept).toEqual([]);
    const before = (await remoteSink.at(endpoint.path)).length;
    await receive(as, subject, "late");
    expect(await kept()).toEqual([]);
    await ring(as);
    expect(await remoteSink.at(endpoint.path)).toHaveLength(before);
    await call("DELETE", `/webhooks/${endpoint.id}`, { as });
  });
});

describe("the alarm", () => {
  it("is set again when an object wakes up with work and without one", async () => {
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, { status: 500 });
    await receive(as, "orders/o-1");
    await expect.poll(async () => (await deliveries(as, id)).log.length).toBe(1);
    const due = await alarmOf(as);
    await runInDurableObject(objectOf(as), (_, { storage }) => storage.deleteAlarm());
    await evictDurableObject(objectOf(as));
    expect(await alarmOf(as)).toBeLessThanOrEqual(due!);
    expect(await alarmOf(as)).not.toBeNull();
  });

  it("takes over a try whose process died, when its lease ends", async () => {
    const as = stranger();
    const { path, id } = await register(as);
    await remoteSink.answer(path, "hang");
    await receive(as, "orders/o-1");
    await cameTo(path).toBe(1);
    const died = runInDurableObject(objectOf(as), (_, state) => state.abort("the process died"));
    await expect(died).rejects.toThrow("the process died");
    await remoteSink.answer(path, { status: 200 });
    await ring(as);
    expect(await remoteSink.at(path)).toHaveLength(1);
    setTime(began + 60_000);
    await ring(as);
    await cameTo(path).toBe(2);
    await expect
      .poll(async () => (await deliveries(as, id)).log.at(-1))
      .toMatchObject({ outcome: "delivered", attempt: 2 });
  });

  it("stays when its handler fails", async () => {
    const errors = vi.spyOn(console, "error").mockReturnValue();
    const as = stranger();
    const { path } = await register(as);
    await remoteSink.answer(path, { status: 500 });
    await receive(as, "orders/o-1");
    await cameTo(path).toBe(1);
    await query(as, "ALTER TABLE endpoints RENAME TO away");
    await ring(as);
    expect(await alarmOf(as)).toBeGreaterThanOrEqual(began + 60_000);
    expect(errors).toHaveBeenCalled();
    await query(as, "ALTER TABLE away RENAME TO endpoints");
    setTime(began + hour);
    await ring(as);
    await cameTo(path).toBe(2);
  });
});
