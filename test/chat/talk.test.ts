import { evictDurableObject } from "cloudflare:test";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomFrom } from "../support/random.ts";
import {
  call,
  carla,
  chat,
  courier,
  freshOrder,
  historyOf,
  roomOf,
  say,
  staff,
  Talker,
} from "./room.ts";

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe("What is said", () => {
  it("reaches all in one order, numbered, with who said it as which part", async () => {
    const order = freshOrder();
    const all = await Promise.all([carla, staff, courier].map((as) => Talker.open(order, { as })));
    all[0]!.say("c-1", "Where is it?");
    all[1]!.say("s-1", "In the oven.");
    all[2]!.say("r-1", "I am waiting for it.");
    for (const one of all) await one.until(({ seqs }) => seqs.length === 3);
    for (const one of all) expect(one.messages).toEqual(all[0]!.messages);
    expect(all[0]!.seqs).toEqual([1, 2, 3]);
    const said = all[0]!.messages.map(({ id, from, text }) => ({ id, from, text }));
    expect(said).toContainEqual({
      ...{ id: "c-1", from: { subject: "carla", part: "customer" }, text: "Where is it?" },
    });
    expect(said.map(({ from }) => from.part).toSorted()).toEqual(["courier", "customer", "shop"]);
    for (const one of all) {
      expect(one.of("accepted")).toHaveLength(1);
      const { id, seq } = one.of("accepted")[0]!;
      expect(one.messages.find((message) => message.seq === seq)?.id).toBe(id);
    }
    expect(await historyOf(order, staff)).toEqual(all[0]!.messages);
  });

  it("twice under one id is there once: by socket, by HTTP, at once and after hibernation", async () => {
    const order = freshOrder();
    const talker = await Talker.open(order);
    talker.say("m-1", "once");
    talker.say("m-1", "once");
    await talker.until((one) => one.of("accepted").length === 2);
    await evictDurableObject(roomOf(order));
    talker.say("m-1", "once");
    await talker.until((one) => one.of("accepted").length === 3);
    expect(talker.of("accepted").map(({ seq }) => seq)).toEqual([1, 1, 1]);
    expect(await say(order, "m-1", "once")).toMatchObject({ status: 200, body: { seq: 1 } });
    // Another's id is another's; another text is another message.
    expect(await say(order, "m-1", "once", staff)).toMatchObject({ status: 201, body: { seq: 2 } });
    expect(await say(order, "m-1", "twice")).toMatchObject({ status: 409 });
    talker.say("m-1", "twice");
    await talker.until((one) => one.of("refused").length === 1);
    expect(talker.of("refused")[0]).toMatchObject({ id: "m-1", problem: { status: 409 } });
    const many = await Promise.all(numbers(10).map(() => say(order, "m-2")));
    expect(many.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(many.filter(({ status }) => status === 200)).toHaveLength(9);
    expect((await historyOf(order)).map(({ id }) => id)).toEqual(["m-1", "m-1", "m-2"]);
    expect(talker.seqs).toEqual([1, 2, 3]);
  });

  it("is text and nothing else: markup comes back as it was said", async () => {
    const order = freshOrder();
    const text = `<script>alert("&amp;")</script>\n<b onclick='x'>  \u2028 \u{1F34D} \u202E`;
    const talker = await Talker.open(order);
    const said = await say(order, "m", text);
    expect(said).toMatchObject({ status: 201, body: { text } });
    expect(said.headers.get("content-type")).toBe("application/json");
    const read = await call("GET", `/orders/${order}/messages`);
    expect(read.body).toMatchObject({ messages: [{ text }], last: 1 });
    for (const { headers } of [said, read]) {
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("cache-control")).toBe("no-store");
    }
    await talker.until(({ messages }) => messages[0]?.text === text);
  });
});

describe("Who comes back", () => {
  it("gets what was said meanwhile and then what is said, whenever they come, each once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const random = randomFrom(seed);
        const order = freshOrder();
        const count = 24;
        /** What each client has in the end, over all its sockets. */
        const seen: number[][] = [[], [], []];
        const clients = seen.map(async (got) => {
          while (got.length < count) {
            const talker = await Talker.open(order, { as: staff, query: `after=${got.length}` });
            const enough = got.length + 1 + Math.floor(random() * 6);
            await talker.until(({ seqs }) => got.length + seqs.length >= Math.min(enough, count));
            talker.close();
            got.push(...talker.seqs);
          }
        });
        const speakers = [carla, courier].map(async (as) => {
          const talker = await Talker.open(order, { as });
          for (const one of numbers(count / 2)) {
            talker.say(`${as.subject}-${one}`);
            await talker.until((me) => me.of("accepted").length === one);
            // Of those that speak one alone: what isn't running can't be evicted.
            if (as === carla && random() < 0.3) await evictDurableObject(roomOf(order));
          }
          talker.close();
        });
        await Promise.all(speakers);
        await Promise.all(clients);
        for (const got of seen) expect(got).toEqual(numbers(count));
      }),
      { numRuns: 4, endOnFailure: true },
    );
  });

  it("is told who is there, once each, and when that changes", async () => {
    const order = freshOrder();
    const [customer, again, shop] = [
      await Talker.open(order),
      await Talker.open(order),
      await Talker.open(order, { as: staff }),
    ];
    await customer.until(({ present }) => present.length === 2);
    expect(customer.present).toEqual(["carla (customer)", "sam (shop)"]);
    again.close();
    shop.send({ type: "typing" });
    shop.send({ type: "typing" });
    await customer.until((one) => one.of("typing").length > 0);
    expect(customer.of("typing")).toEqual([
      { type: "typing", from: { subject: "sam", part: "shop" } },
    ]);
    expect(shop.of("typing")).toEqual([]);
    await evictDurableObject(roomOf(order));
    shop.close();
    await customer.until(({ present }) => present.length === 1);
    expect(customer.present).toEqual(["carla (customer)"]);
    expect(customer.of("presence").every(({ present }) => present.length > 0)).toBe(true);
    expect(await historyOf(order)).toEqual([]);
    const asker = { caller: carla, authorization: "" };
    expect(await chat.summary(asker, `orders/${order}`)).toEqual({
      ok: true,
      value: {
        ...{ order: `orders/${order}`, messages: 0, last: null },
        present: [{ subject: "carla", part: "customer" }],
        stream: `/api/chat/orders/${order}/stream`,
      },
    });
  });
});
