import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { issueTicket } from "../../src/ingress/tickets.ts";
import {
  call,
  carla,
  chat,
  courier,
  fill,
  freshOrder,
  historyOf,
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

const origin = "https://shop.test";
const page = { Origin: origin };
const ticketFor = async (order: string, headers: object = page) =>
  String((await call("POST", `/orders/${order}/tickets`, { headers })).body["ticket"]);
const byTicket = (order: string, ticket: string, headers: object = page) =>
  Talker.open(order, { as: null, query: `ticket=${ticket}`, headers });

describe("An order's room", () => {
  it("is for who may see the order: the orchestrator's no is passed on", async () => {
    const order = freshOrder();
    await say(order, "m-1");
    const others = [
      { ...carla, subject: "mallory" },
      { ...staff, tenant: "elsewhere" },
      { ...carla, tenant: "elsewhere" },
    ];
    for (const as of others) {
      for (const [method, path, body] of [
        ["GET", "messages", undefined],
        ["POST", "messages", { id: "m", text: "x" }],
        ["POST", "tickets", undefined],
        ["GET", "stream", undefined],
      ] as const) {
        const answer = await call(method, `/orders/${order}/${path}`, { as, body });
        expect(answer).toMatchObject({ status: 404, body: { detail: "As it was told" } });
      }
      await expect(Talker.open(order, { as })).rejects.toThrow("404");
    }
    for (const as of [staff, courier]) expect(await historyOf(order, as)).toHaveLength(1);
    const told = async (status: number) =>
      (await call("GET", `/orders/broken.${status}/messages`)).status;
    const passedOn = [401, 403, 404, 410, 429];
    expect(await Promise.all(passedOn.map(told))).toEqual(passedOn);
    for (const status of [400, 500, 503]) {
      const answer = await call("GET", `/orders/broken.${status}/messages`);
      expect(answer.status).toBe(503);
      expect(answer.headers.get("retry-after")).toBe("2");
    }
    const nobody = { ...carla, roles: ["provider"] };
    expect((await call("GET", `/orders/${order}/messages`, { as: nobody })).status).toBe(403);
  });

  it("of the same id at another tenant is another", async () => {
    const asker = (tenant: string) => ({ caller: { ...staff, tenant }, authorization: "" });
    const order = freshOrder();
    await say(order, "m-1");
    const there = await chat.summary(asker("tropical"), `orders/${order}`);
    expect(there).toMatchObject({ ok: true, value: { messages: 1, last: { id: "m-1" } } });
    const elsewhere = await chat.summary(asker("elsewhere"), `orders/${order}`);
    expect(elsewhere).toMatchObject({ ok: true, value: { messages: 0, last: null } });
    for (const wrong of [
      "",
      "orders",
      "orders/",
      "payments/x",
      "orders/a/b",
      "orders/..",
      "a b/c",
    ]) {
      expect(await chat.summary(asker("tropical"), wrong)).toMatchObject({ ok: false });
    }
  });

  it("takes no calls for another's room, nor where its jurisdiction has no database", async () => {
    const order = freshOrder();
    const home = { tenant: "tropical", jurisdiction: null, workflow: "orders", id: order };
    const person = { subject: "carla", part: "customer" as const };
    const told = await runInDurableObject(roomOf(order), async (room) => {
      const wrong = [
        { ...home, tenant: "elsewhere" },
        { ...home, id: "other" },
        { ...home, workflow: "payments" },
        { ...home, jurisdiction: "eu" as const },
      ];
      const ways = (one: typeof home | (typeof wrong)[number]) => [
        room.say(one, person, { id: "m", text: "x" }),
        room.history(one, 0, 10),
        room.summary(one),
      ];
      return Promise.all(wrong.flatMap(ways));
    });
    const types = told.map((reply) =>
      reply.ok ? "granted" : reply.problem.type.split(":").at(-1),
    );
    const [not, no] = ["not-found", "not-configured"];
    expect(types).toEqual([...Array<string>(9).fill(not), ...Array<string>(3).fill(no)]);
    expect(await inRoom(order)).toEqual({ tables: [], messages: null });
  });

  it("asks for credentials first, whatever the address", async () => {
    for (const [method, path] of [
      ["GET", "/"],
      ["GET", "/orders/x"],
      ["GET", "/orders/x/messages"],
      ["POST", "/orders/x/messages"],
      ["DELETE", "/orders/x/messages"],
      ["GET", "/orders/x/stream"],
      ["POST", "/orders/x/stream"],
      ["POST", "/orders/x/tickets"],
      ["GET", "/orders/x/tickets"],
    ] as const) {
      expect((await call(method, path, { as: null })).status, `${method} ${path}`).toBe(401);
    }
    expect((await call("GET", "/nowhere")).status).toBe(404);
    const wrong = await call("DELETE", "/orders/x/messages");
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "GET, POST"]);
    expect((await call("GET", "/orders/a%2Fb/messages")).status).toBe(400);
    const subject = "carla\u0000";
    expect(
      (await call("GET", "/orders/tropical.x/messages", { as: { ...staff, subject } })).status,
    ).toBe(401);
  });

  it("is summed up for who has a part in it, not for all who may see the order", async () => {
    const order = freshOrder();
    await say(order, "m-1", "the code of the door is 1234");
    const caller = { ...staff, roles: ["auditor"] };
    expect(await chat.summary({ caller, authorization: "" }, `orders/${order}`)).toMatchObject({
      ok: false,
      problem: { status: 403 },
    });
  });
});

describe("A ticket", () => {
  it("opens one socket, of one room, for a page of one origin, for thirty seconds", async () => {
    const order = freshOrder();
    const ticket = await ticketFor(order);
    const talker = await byTicket(order, ticket);
    talker.say("m-1");
    await talker.until(({ messages }) => messages.length === 1);
    expect(talker.messages[0]).toMatchObject({ from: { subject: "carla", part: "customer" } });
    await expect(byTicket(order, ticket)).rejects.toThrow(/401.*used before/);
    const twice = await ticketFor(order);
    const opened = await Promise.allSettled(
      Array.from({ length: 5 }, () => byTicket(order, twice)),
    );
    expect(opened.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await expect(byTicket(freshOrder(), await ticketFor(order))).rejects.toThrow("401");
    await expect(byTicket(order, await ticketFor(order), {})).rejects.toThrow("401");
    const elsewhere = { Origin: "https://evil.test" };
    await expect(byTicket(order, await ticketFor(order), elsewhere)).rejects.toThrow("403");
    await expect(Talker.open(order, { headers: elsewhere })).rejects.toThrow("403");
    const late = await ticketFor(order);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 31_000);
    await expect(byTicket(order, late)).rejects.toThrow("401");
  });

  it("of the orchestrator's streams, which asks nothing of the order, opens no room", async () => {
    const order = freshOrder();
    const mallory = { ...carla, subject: "mallory" };
    const stolen = { caller: mallory, id: order, origin, until: Date.now() + 60_000 };
    const ticket = await issueTicket(env as object, { ...stolen, workflow: "orders" });
    await expect(byTicket(order, ticket)).rejects.toThrow("401");
  });
});

describe("A socket", () => {
  it("is closed when its token ends, whether something is said or not", async () => {
    const order = freshOrder();
    const [quiet, loud, other] = await Promise.all(
      [30, 30, 86_400].map((lifetime) => Talker.open(order, { lifetime })),
    );
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 40_000);
    loud!.say("late");
    await loud!.until(({ closed }) => closed !== null);
    await ringAfter(order, 0);
    await quiet!.until(({ closed }) => closed !== null);
    for (const one of [quiet, loud]) expect(one!.closed).toMatchObject({ code: 1008 });
    expect(other!.closed).toBeNull();
    expect(await historyOf(order)).toEqual([]);
  });

  it("is answered in its subprotocol, or in none, and opens nothing but a WebSocket", async () => {
    const order = freshOrder();
    const offering = (names: string) =>
      Talker.open(order, { headers: { "Sec-WebSocket-Protocol": names } });
    expect((await offering("other, durachart.chat")).protocol).toBe("durachart.chat");
    expect((await Talker.open(order)).protocol).toBeNull();
    await expect(offering("other")).rejects.toThrow("400");
    expect((await call("GET", `/orders/${order}/stream`)).status).toBe(426);
    for (const query of ["after=1", "after=-1", "after=x", "after=1e3", "after="]) {
      await expect(Talker.open(order, { query })).rejects.toThrow("400");
    }
  });

  it("that sends what can't be read is told so, then closed; nothing of it is kept", async () => {
    const order = freshOrder();
    const bad = [
      ...["", "x", "[]", "null", "7", `{"type":"shout"}`, `{"type":"say","id":"a"}`],
      ...[`{"type":"say","id":"a b","text":"x"}`, `{"type":"say","id":"a","text":7}`],
      `{"type":"say","id":"a","text":"x","from":{"subject":"olga"}}`,
      `{"type":"say","id":"a","text":"x","__proto__":{"part":"shop"}}`,
      ...["", "x".repeat(2_001), "a\u0000b", "a\rb", "\u001b[2J", "\ud800"].map((text) =>
        JSON.stringify({ type: "say", id: "bad", text }),
      ),
      JSON.stringify({ type: "say", id: "x".repeat(65), text: "x" }),
      "[".repeat(5_000),
    ];
    for (const frame of bad) {
      const talker = await Talker.open(order);
      talker.send(frame);
      await talker.until((one) => one.of("refused").length === 1);
      const { problem, id } = talker.of("refused")[0]!;
      expect([400, 422], frame).toContain(problem.status);
      expect(id).toBe(frame.includes(`"bad"`) ? "bad" : frame.includes(`"a"`) ? "a" : undefined);
      talker.close();
    }
    const talker = await Talker.open(order);
    for (const _ of [1, 2, 3, 4]) talker.send("{}");
    talker.say("good", "x".repeat(2_000));
    for (const _ of [1, 2, 3, 4, 5]) talker.send("{}");
    await talker.until(({ closed }) => closed !== null);
    expect(talker.closed).toMatchObject({ code: 4400 });
    expect((await historyOf(order)).map(({ id }) => id)).toEqual(["good"]);
  });

  it("that sends too much at once, too large, or what is no text is closed", async () => {
    const order = freshOrder();
    const ended = async (misbehave: (talker: Talker) => void) => {
      const talker = await Talker.open(order);
      misbehave(talker);
      await talker.until(({ closed }) => closed !== null);
      return { code: talker.closed!.code, said: talker.of("accepted").length };
    };
    vi.useFakeTimers({ toFake: ["Date"] });
    const burst = await ended((talker) => {
      for (let one = 0; one < 30; one += 1) talker.say(`m-${one}`);
    });
    expect(burst).toEqual({ code: 1008, said: 20 });
    const typing = await ended((talker) => {
      for (let one = 0; one < 110; one += 1) talker.send({ type: "typing" });
    });
    expect(typing).toEqual({ code: 1008, said: 0 });
    const large = { type: "say", id: "m", text: "x".repeat(16_384) };
    expect(await ended((talker) => talker.send(large))).toEqual({ code: 1009, said: 0 });
    const wide = JSON.stringify({ type: "say", id: "m", text: "é".repeat(8_192) });
    expect(await ended((talker) => talker.send(wide))).toEqual({ code: 1009, said: 0 });
    const binary = new TextEncoder().encode(`{"type":"typing"}`).buffer as ArrayBuffer;
    expect(await ended((talker) => talker.send(binary))).toEqual({ code: 1003, said: 0 });
    expect(await historyOf(order)).toHaveLength(20);
    // A second later five more may be said, and by HTTP as many.
    const talker = await Talker.open(order);
    for (let one = 0; one < 20; one += 1) talker.say(`n-${one}`);
    await talker.until((me) => me.of("accepted").length === 20);
    vi.setSystemTime(Date.now() + 1_000);
    for (let one = 0; one < 6; one += 1) talker.say(`o-${one}`);
    await talker.until(({ closed }) => closed !== null);
    expect(talker.of("accepted")).toHaveLength(25);
    const answers = [];
    for (let one = 0; one < 21; one += 1) answers.push(await say(order, `p-${one}`));
    expect(answers.map(({ status }) => status)).toEqual([...Array<number>(20).fill(201), 429]);
    expect(answers.at(-1)!.headers.get("retry-after")).toBe("1");
  });

  it("that doesn't confirm what it was sent gets a megabyte and no more, and then its end", async () => {
    const order = freshOrder();
    await fill(order, 800, "x".repeat(2_000));
    const [mute, other] = [await Talker.open(order, { confirms: false }), await Talker.open(order)];
    await other.until(({ seqs }) => seqs.length === 800);
    await mute.until((one) => one.of("confirm").length === 1);
    // Who has not read what it is asked can only guess what to say.
    for (let seq = 0; seq < 90; seq += 1) mute.send({ type: "confirm", seq: seq * 10 });
    // Round trips later nothing more has come.
    other.say("later");
    await other.until(({ seqs }) => seqs.length === 801);
    const size = mute.messages.length;
    expect(size).toBeGreaterThan(450);
    expect(size).toBeLessThan(530);
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Date.now() + 11_000);
    other.say("much-later");
    await mute.until(({ closed }) => closed !== null);
    expect(mute.closed).toMatchObject({ code: 4008 });
    expect(mute.messages).toHaveLength(size);
    const back = await Talker.open(order, { query: `after=${size}` });
    await back.until(({ seqs }) => seqs.length === 802 - size);
    expect(back.seqs[0]).toBe(size + 1);
    // One that answers in time is sent the rest.
    const slow = await Talker.open(order, { confirms: false });
    await slow.until((one) => one.messages.length === size);
    slow.send(slow.of("confirm")[0]!);
    await slow.until(({ seqs }) => seqs.length === 802);
    expect(slow.closed).toBeNull();
  });
});
