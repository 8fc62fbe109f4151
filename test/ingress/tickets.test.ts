import { env } from "cloudflare:workers";
import { afterEach, expect, it, vi } from "vitest";
import type { Caller } from "../../src/contract/caller.ts";
import { issueTicket } from "../../src/ingress/tickets.ts";
import { call, customer, eventually, freshId, operator, start } from "../support/client.ts";
import { TestSocket } from "../support/socket.ts";
import app from "../support/worker.ts";

/** The one that the deployment under test allows. */
const origin = "https://shop.test";

const ask = (id: string, options: { as?: Caller; origin?: string | null } = {}) => {
  const { as = customer, origin: from = origin } = options;
  const headers: Record<string, string> = from === null ? {} : { Origin: from };
  return call<{ ticket: string; expiresIn: number; detail?: string }>(
    "POST",
    `/orders/${id}/tickets`,
    { as, headers },
  );
};

/** As a page would: no token, and where it is from. */
const open = (id: string, ticket: string, from: string | null = origin) =>
  TestSocket.open(`/orders/${id}/stream?after=0&ticket=${ticket}`, {
    as: null,
    headers: from === null ? {} : { Origin: from },
  });

afterEach(() => {
  vi.useRealTimers();
});

it("A page opens a socket with a ticket, as the caller who asked for it, once", async () => {
  const id = await start("orders");
  const { status, body, headers } = await ask(id);
  expect(status).toBe(201);
  expect(headers.get("cache-control")).toBe("no-store");
  expect(body.expiresIn).toBe(30);
  const socket = await open(id, body.ticket);
  const [first] = await eventually(
    () => Promise.resolve(socket.messages),
    (messages) => messages.length > 0,
  );
  expect(first).toMatchObject({ type: "durachart.view", data: { id } });
  await expect(open(id, body.ticket)).rejects.toThrow(/401.*used before/);
  socket.close();
});

it("Used twice at once, it opens one socket", async () => {
  const id = await start("orders");
  const { ticket } = (await ask(id)).body;
  const sockets = await Promise.allSettled(Array.from({ length: 10 }, () => open(id, ticket)));
  expect(sockets.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

it("Of the order's chat it opens no stream", async () => {
  const id = await start("orders");
  const chat = { workflow: "chat/orders", id, origin, until: Date.now() + 60_000 };
  const ticket = await issueTicket(env as object, { caller: operator, ...chat });
  await expect(open(id, ticket)).rejects.toThrow(/401.*another instance/);
});

it("It is for one instance, one origin and thirty seconds", async () => {
  const [id, other] = [await start("orders"), await start("orders")];
  const fresh = async () => (await ask(id)).body.ticket;
  await expect(open(other, await fresh())).rejects.toThrow(/401.*another instance/);
  for (const from of [
    null,
    "null",
    `${origin}.evil.test`,
    "https://evil.test",
    "http://shop.test",
  ]) {
    await expect(open(id, await fresh(), from)).rejects.toThrow(/401|403/);
  }
  // Not asked for by a page, it is for none.
  const plain = (await ask(id, { origin: null })).body.ticket;
  await expect(open(id, plain)).rejects.toThrow(/401.*another origin/);
  (await open(id, plain, null)).close();
  const late = await fresh();
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(Date.now() + 31_000);
  await expect(open(id, late)).rejects.toThrow(/401/);
});

it("It is refused to pages of other origins, and so is a socket by token", async () => {
  const id = await start("orders");
  for (const from of ["null", "https://evil.test", `${origin}.evil.test`, `${origin}:444`, "*"]) {
    expect(await ask(id, { origin: from })).toMatchObject({ status: 403 });
    const headers = { Origin: from };
    await expect(TestSocket.open(`/orders/${id}/stream`, { headers })).rejects.toThrow(/403/);
  }
  const socket = await TestSocket.open(`/orders/${id}/stream`, { headers: { Origin: origin } });
  socket.close();
});

it("It gives no more than its owner may: of somebody else's order nothing", async () => {
  const id = await start("orders");
  const stranger = { ...customer, subject: "stan" };
  const { ticket } = (await ask(id, { as: stranger })).body;
  await expect(open(id, ticket)).rejects.toThrow(/404/);
  const foreign = { ...customer, tenant: "elsewhere" };
  await expect(open(id, (await ask(id, { as: foreign })).body.ticket)).rejects.toThrow(/404/);
});

it("Made up, altered, or a token in its place, it opens nothing; nor does it stand for a token", async () => {
  const id = await start("orders");
  const { ticket } = (await ask(id, { as: operator })).body;
  const [head, body, signature] = ticket.split(".") as [string, string, string];
  const other = btoa(JSON.stringify({ ...JSON.parse(atob(body)), id: "other" })).replaceAll(
    "=",
    "",
  );
  const none = btoa('{"alg":"none","typ":"ticket+jwt"}').replaceAll("=", "");
  for (const bad of [
    "",
    "x",
    `${head}.${other}.${signature}`,
    `${none}.${body}.`,
    `${head}.${body}.`,
  ]) {
    await expect(open(id, bad)).rejects.toThrow(/401/);
  }
  const asToken = await app.fetch(
    new Request(`https://durachart.test/orders/${id}`, {
      headers: { Authorization: `Bearer ${ticket}` },
    }),
    env as never,
  );
  expect(asToken.status).toBe(401);
});

it("Without a secret of the deployment there are none", async () => {
  const id = freshId();
  for (const TICKET_SECRET of [undefined, "", "c2hvcnQ=", "no base64!"]) {
    const request = new Request(`https://durachart.test/orders/${id}/stream?ticket=x`, {
      headers: { Upgrade: "websocket" },
    });
    const response = await app.fetch(request, { ...env, TICKET_SECRET } as never);
    expect(response.status).toBe(503);
  }
});
