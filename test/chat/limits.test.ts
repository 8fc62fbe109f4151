import { env } from "cloudflare:workers";
import { afterEach, describe, expect, it, vi } from "vitest";
import { MAX_MESSAGES, MAX_SOCKETS } from "../../services/chat/limits.ts";
import { WINDOW } from "../../src/contract/tenancy.ts";
import { issueTicket } from "../../src/ingress/tickets.ts";
import { eventually } from "../support/eventually.ts";
import { takeSockets, useUpRequests } from "../support/used-up.ts";
import { bearer, call, carla, fill, freshOrder, inRoom, say, staff, Talker } from "./room.ts";

afterEach(() => {
  vi.useRealTimers();
});

const origin = "https://shop.test";

describe("A tenant", () => {
  /** An order of carla's, at a tenant that no other test has. */
  const fresh = () => {
    const tenant = `crowded-${crypto.randomUUID()}`;
    return { tenant, as: { ...carla, tenant }, order: `${tenant}.carla.1` };
  };

  it("that has asked too much this minute is let in by no token and no ticket", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.setSystemTime(Math.ceil(Date.now() / WINDOW) * WINDOW);
    const { tenant, as, order } = fresh();
    const wanted = { caller: as, workflow: "chat/orders", id: order, origin };
    const ticket = await issueTicket(env as object, { ...wanted, until: Date.now() + WINDOW });
    await useUpRequests(tenant);
    for (const path of ["", "/messages", "/stream"]) {
      const answer = await call("GET", `/orders/${order}${path}`, { as });
      expect(answer).toMatchObject({ status: 429, body: { limit: { name: "requests" } } });
      expect(answer.headers.get("retry-after")).toBe("60");
    }
    const byTicket = { as: null, query: `ticket=${ticket}`, headers: { Origin: origin } };
    await expect(Talker.open(order, byTicket)).rejects.toThrow("429");
  });

  it("has so many sockets in all of its rooms, and the place of one that is closed", async () => {
    const { tenant, as, order } = fresh();
    await takeSockets(tenant, 2);
    // What is refused takes no place.
    for (let tries = 0; tries < 3; tries += 1) {
      await expect(Talker.open(order, { as, query: "after=5" })).rejects.toThrow("400");
    }
    const mine = await Talker.open(order, { as });
    const other = await Talker.open(`${order}-2`, { as });
    await expect(Talker.open(`${order}-3`, { as })).rejects.toThrow(/429.*too-many-sockets/);
    // Closed by who has it, and by the room.
    mine.close();
    other.send(new ArrayBuffer(1));
    const isOpen = async () => (await Talker.open(order, { as }).catch(() => null)) !== null;
    await eventually(isOpen, Boolean);
    await eventually(isOpen, Boolean);
  });
});

describe("A room", () => {
  it("takes its messages and no more, but knows the old ones", async () => {
    const order = freshOrder();
    await fill(order, MAX_MESSAGES);
    const talker = await Talker.open(order, { query: `after=${MAX_MESSAGES}` });
    talker.say("one-more");
    await talker.until((one) => one.of("refused").length === 1);
    expect(talker.of("refused")[0]!.problem).toMatchObject({
      ...{ status: 409, type: "urn:durachart:problem:room-full" },
    });
    expect((await say(order, "one-more")).status).toBe(409);
    expect(await say(order, "m7", "text 7")).toMatchObject({ status: 200, body: { seq: 7 } });
    const all = await Talker.open(order);
    await all.until(({ seqs }) => seqs.length === MAX_MESSAGES);
    expect(all.seqs.every((seq, index) => seq === index + 1)).toBe(true);
    expect(all.of("confirm").length).toBeGreaterThan(0);
  });

  it("takes its listeners and no more", async () => {
    const order = freshOrder();
    const authorization = await bearer(staff);
    const headers = { Authorization: authorization };
    const open = () => Talker.open(order, { as: null, headers });
    const all: Talker[] = [];
    for (let one = 0; one < MAX_SOCKETS; one += 1) all.push(await open());
    await expect(open()).rejects.toThrow("429");
    all[0]!.close();
    await eventually(
      () =>
        open().then(
          () => true,
          () => false,
        ),
      (isOpen) => isOpen,
    );
    expect(await inRoom(order)).toEqual({ tables: [], messages: null });
  });

  it("refuses what is no message over HTTP, and changes nothing", async () => {
    const order = freshOrder();
    for (const [body, status] of [
      ["{", 400],
      [{}, 422],
      [{ id: "a" }, 422],
      [{ id: "a", text: "" }, 422],
      [{ id: "a", text: "x".repeat(2_001) }, 422],
      [{ id: "a", text: "\u0007" }, 422],
      [{ id: "a", text: "x", seq: 7 }, 422],
      [{ id: "é", text: "x" }, 422],
      ["x".repeat(20_000), 413],
    ] as const) {
      const answer = await call("POST", `/orders/${order}/messages`, { body });
      expect(answer.status, JSON.stringify(body).slice(0, 50)).toBe(status);
    }
    const wide = "\u{1F34D}".repeat(2_000);
    expect(await say(order, "wide", wide)).toMatchObject({ status: 201, body: { text: wide } });
    for (const query of ["after=x", "limit=0", "limit=501", "after=-1"]) {
      expect((await call("GET", `/orders/${order}/messages?${query}`)).status).toBe(400);
    }
    await say(order, "second");
    const first = await call("GET", `/orders/${order}/messages?limit=1`);
    const next = `</api/chat/orders/${order}/messages?after=1&limit=1>; rel="next"`;
    expect(first.headers.get("link")).toBe(next);
    expect(first.body).toMatchObject({ messages: [{ id: "wide" }], last: 2 });
  });
});
