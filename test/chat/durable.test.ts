import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { IDLE } from "../../services/chat/limits.ts";
import {
  breakD1,
  call,
  carla,
  chat,
  fill,
  freshOrder,
  historyOf,
  inD1,
  inRoom,
  ringAfter,
  roomOf,
  say,
  staff,
  Talker,
} from "./room.ts";

afterEach(() => {
  vi.useRealTimers();
});

const alarmOf = (order: string) =>
  runInDurableObject(roomOf(order), (_room, { storage }) => storage.getAlarm());
const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const asker = { caller: carla, authorization: "" };

describe("What was accepted", () => {
  it("is there though the process dies before D1 has it, and D1 gets it then", async () => {
    const order = freshOrder();
    const talker = await Talker.open(order);
    for (const one of numbers(5)) talker.say(`m-${one}`);
    await talker.until((one) => one.of("accepted").length === 5);
    expect(await inD1(order)).toEqual([]);
    await abortAllDurableObjects();
    expect((await historyOf(order)).map(({ id }) => id)).toEqual(
      numbers(5).map((one) => `m-${one}`),
    );
    expect(await alarmOf(order)).not.toBeNull();
    await ringAfter(order, 3_000);
    expect((await inD1(order)).map(({ seq }) => seq)).toEqual(numbers(5));
    // What the alarm has done may be done twice.
    await runInDurableObject(roomOf(order), (_room, { storage }) => {
      storage.sql.exec("UPDATE room SET written = 0, write_at = 0");
    });
    await runDurableObjectAlarm(roomOf(order));
    expect((await inD1(order)).map(({ seq }) => seq)).toEqual(numbers(5));
  });

  it("comes to D1 though the room's alarm was lost", async () => {
    const order = freshOrder();
    await say(order, "m-1");
    await runInDurableObject(roomOf(order), (_room, { storage }) => storage.deleteAlarm());
    await abortAllDurableObjects();
    expect(await alarmOf(order)).not.toBeNull();
  });

  it("goes to D1 a hundred at a time, each row with whose it is", async () => {
    const order = freshOrder();
    await fill(order, 250);
    await ringAfter(order, 3_000);
    expect((await inD1(order)).map(({ seq }) => seq)).toEqual(numbers(250));
    const whose = env.CHAT_DB.prepare(
      `SELECT DISTINCT tenant, jurisdiction FROM messages WHERE "order" = ?`,
    ).bind(`orders/${order}`);
    expect((await whose.all()).results).toEqual([{ tenant: "tropical", jurisdiction: "" }]);
    // It stays in the room until that closes.
    expect(await inRoom(order)).toMatchObject({ messages: 250 });
  });

  it("waits in the room while D1 is down, and talk goes on, in new rooms too", async () => {
    const order = freshOrder();
    await say(order, "m-1");
    const mend = await breakD1();
    const tries: number[] = [];
    for (const one of [2, 3, 4]) {
      await ringAfter(order, 1_000_000);
      tries.push((await alarmOf(order))! - Date.now());
      expect((await say(order, `m-${one}`)).status).toBe(201);
    }
    expect((await say(freshOrder(), "m")).status).toBe(201);
    // Each time it waits longer, and half an hour without anybody doesn't close it.
    expect(tries[2]).toBeGreaterThan(tries[0]!);
    await ringAfter(order, 2 * IDLE);
    expect(await inRoom(order)).toMatchObject({ messages: 4 });
    await mend();
    await ringAfter(order, 1_000_000);
    expect((await inD1(order)).map(({ id }) => id)).toEqual(["m-1", "m-2", "m-3", "m-4"]);
  });

  it("is not thought to be in D1 where something else stands there", async () => {
    const order = freshOrder();
    await say(order, "m-1", "true");
    await env.CHAT_DB.prepare("INSERT INTO messages VALUES (?, '', ?, 1, 'x', 'y', 'shop', 'z', 0)")
      .bind("tropical", `orders/${order}`)
      .run();
    await ringAfter(order, 3_000);
    await ringAfter(order, 2 * IDLE);
    expect(await inRoom(order)).toMatchObject({ messages: 1 });
    expect(await historyOf(order)).toMatchObject([{ text: "true" }]);
  });
});

describe("A room where nobody is", () => {
  const closed = { tables: ["room"], messages: null };

  it("closes after half an hour, keeps only how far it went, and opens as it was", async () => {
    const order = freshOrder();
    await fill(order, 450);
    await say(order, "last", "The last word", staff);
    const before = await historyOf(order);
    await ringAfter(order, 3_000);
    expect(await ringAfter(order, IDLE)).toBe(true);
    expect(await inRoom(order)).toEqual(closed);
    expect(await alarmOf(order)).toBeNull();
    const summary = { messages: 451, last: before.at(-1), present: [] };
    expect(await chat.summary(asker, `orders/${order}`)).toMatchObject({
      ok: true,
      value: summary,
    });
    expect(await inRoom(order)).toEqual(closed);
    const talker = await Talker.open(order, { query: "after=440" });
    await talker.until(({ seqs }) => seqs.length === 11);
    expect(talker.messages).toEqual(before.slice(440));
    expect(await historyOf(order)).toEqual(before);
    // Numbers go on, and an old id is known.
    expect(await say(order, "m17", "text 17")).toMatchObject({ status: 200, body: { seq: 17 } });
    expect(await say(order, "m17", "else")).toMatchObject({ status: 409 });
    expect(await say(order, "new")).toMatchObject({ status: 201, body: { seq: 452 } });
    await ringAfter(order, 3_000);
    expect(await inD1(order)).toHaveLength(452);
    // With somebody there it stays open.
    await ringAfter(order, 2 * IDLE);
    expect(await inRoom(order)).toMatchObject({ messages: 452 });
    talker.close();
    await talker.until(({ closed }) => closed !== null);
    await ringAfter(order, 2 * IDLE);
    expect(await inRoom(order)).toEqual(closed);
  });

  it("stays open for who speaks, or comes, while D1 is asked whether it has everything", async () => {
    for (const come of ["speaks", "comes"]) {
      const order = freshOrder();
      await say(order, "m-1");
      await ringAfter(order, 3_000);
      let asked = 0;
      await runInDurableObject(roomOf(order), (room) => {
        const held = (room as unknown as { env: { CHAT_DB: D1Database } }).env;
        const { CHAT_DB: real } = held;
        held.CHAT_DB = {
          prepare: (text: string) => ({
            bind: (...values: unknown[]) => ({
              first: async () => {
                const found = await real
                  .prepare(text)
                  .bind(...values)
                  .first();
                asked += 1;
                held.CHAT_DB = real;
                if (come === "speaks") expect((await say(order, "m-2")).status).toBe(201);
                else await Talker.open(order);
                return found;
              },
            }),
          }),
        } as unknown as D1Database;
      });
      await ringAfter(order, IDLE);
      expect(asked).toBe(1);
      expect((await inRoom(order)).messages).toBe(come === "speaks" ? 2 : 1);
      expect(await alarmOf(order)).not.toBeNull();
    }
  });

  it("is not closed before D1 has all of it, and writes again what D1 has lost", async () => {
    const order = freshOrder();
    await fill(order, 150);
    await ringAfter(order, 3_000);
    await env.CHAT_DB.prepare(`DELETE FROM messages WHERE "order" = ? AND seq > 100`)
      .bind(`orders/${order}`)
      .run();
    await ringAfter(order, IDLE);
    expect(await inRoom(order)).toMatchObject({ messages: 150 });
    await ringAfter(order, IDLE);
    expect(await inD1(order)).toHaveLength(150);
    await ringAfter(order, IDLE);
    expect(await inRoom(order)).toEqual(closed);
  });

  it("never begins its numbers again: without D1 it stays closed, and so it does where D1 has lost it", async () => {
    const order = freshOrder();
    await fill(order, 450);
    await ringAfter(order, 3_000);
    await ringAfter(order, IDLE);
    const mend = await breakD1();
    const refused = await say(order, "new");
    expect(refused.status).toBe(503);
    expect(refused.headers.get("retry-after")).toBe("5");
    expect((await call("GET", `/orders/${order}/messages`)).status).toBe(503);
    expect(await chat.summary(asker, `orders/${order}`)).toMatchObject({ ok: false });
    await mend();
    const rows = `"order" = ? AND seq > 300`;
    await env.CHAT_DB.batch([
      env.CHAT_DB.prepare(`CREATE TABLE lost AS SELECT * FROM messages WHERE ${rows}`).bind(
        `orders/${order}`,
      ),
      env.CHAT_DB.prepare(`DELETE FROM messages WHERE ${rows}`).bind(`orders/${order}`),
    ]);
    expect((await say(order, "new")).status).toBe(500);
    // What was read back so far is no room: an alarm takes it away again.
    expect(await inRoom(order)).toMatchObject({ messages: 300 });
    await ringAfter(order, 2 * IDLE);
    expect(await inRoom(order)).toEqual(closed);
    expect((await say(order, "new")).status).toBe(500);
    await env.CHAT_DB.exec("INSERT INTO messages SELECT * FROM lost");
    await abortAllDurableObjects();
    expect(await say(order, "new")).toMatchObject({ status: 201, body: { seq: 451 } });
    expect((await historyOf(order)).map(({ seq }) => seq)).toEqual(numbers(451));
  });

  it("in which nothing was ever said leaves nothing", async () => {
    const order = freshOrder();
    expect(await historyOf(order)).toEqual([]);
    expect(await inRoom(order)).toEqual({ tables: [], messages: null });
    const headers = { Origin: "https://shop.test" };
    const { body } = await call("POST", `/orders/${order}/tickets`, { headers });
    const query = `ticket=${String(body["ticket"])}`;
    const talker = await Talker.open(order, { as: null, query, headers });
    expect(await inRoom(order)).toMatchObject({ tables: ["used_tickets"] });
    talker.close();
    await talker.until(({ closed }) => closed !== null);
    await ringAfter(order, 200_000);
    expect(await inRoom(order)).toEqual({ tables: [], messages: null });
    expect(await alarmOf(order)).toBeNull();
  });
});
