import { exports } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { call, type Answer, freshId, operator, start, tokenFor, view } from "../support/client.ts";

const nested = (depth: number): string => `${"[".repeat(depth)}1${"]".repeat(depth)}`;

describe("a bad event changes nothing", () => {
  it.each<[string, string | object, number, string | undefined]>([
    ["not JSON", "{", 400, undefined],
    ["empty", "", 400, undefined],
    ["not an object", "[]", 422, undefined],
    ["null", "null", 422, undefined],
    ["no type", { data: {} }, 422, "type"],
    ["an unknown field", { type: "COUNT", more: 1 }, 422, "more"],
    ["a type that is a number", { type: 5 }, 422, "type"],
    ["an empty type", { type: "" }, 422, "type"],
    ["the wildcard", { type: "*" }, 422, "type"],
    ["an unknown type", { type: "EAT_PIZZA" }, 422, "type"],
    ["a prototype's name as type", { type: "constructor" }, 422, "type"],
    ["a stop", { type: "xstate.stop" }, 422, "type"],
    ["an init", { type: "xstate.init" }, 422, "type"],
    [
      "a forged result",
      { type: "xstate.done.actor.orderPizzaFromKitchen", output: 1 },
      422,
      undefined,
    ],
    ["a forged timer", { type: "xstate.after.orderingTimeout.order.orderPizza" }, 422, "type"],
    ["no data", { type: "ADD_PIZZA" }, 422, "data"],
    ["data of the wrong type", { type: "ADD_PIZZA", data: "p1" }, 422, "data"],
    ["a missing field", { type: "ADD_PIZZA", data: { id: "p1" } }, 422, "data.pizza"],
    ["a wrong field", { type: "ADD_PIZZA", data: { id: 7, pizza: "mango-tango" } }, 422, "data.id"],
    [
      "no such pizza",
      { type: "ADD_PIZZA", data: { id: "p1", pizza: "spinach" } },
      422,
      "data.pizza",
    ],
    [
      "a price of one's own",
      { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango", price: 1 } },
      422,
      "data.price",
    ],
    [
      "__proto__",
      '{"type":"ADD_PIZZA","data":{"__proto__":{"admin":true}}}',
      422,
      "data.__proto__",
    ],
    [
      "constructor",
      '{"type":"ADD_PIZZA","data":{"a":[{"constructor":1}]}}',
      422,
      "data.a.0.constructor",
    ],
    ["33 levels", `{"type":"ADD_PIZZA","data":${nested(32)}}`, 422, undefined],
    ["65 KiB", { type: "ADD_PIZZA", data: { id: "x".repeat(65 * 1024) } }, 413, undefined],
  ])("%s", async (_, body, status, field) => {
    const id = await start("orders");
    const answer = await call("POST", `/orders/${id}/events`, { body });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toBe("application/problem+json");
    expect(answer.body).toMatchObject({ status, ...(field === undefined ? {} : { field }) });
    if (field !== undefined && field !== "type") expect(answer.body["detail"]).toContain(field);
    expect(await view("orders", id)).toMatchObject({ seq: 1, state: "orderPizza" });
  });

  it("says of a field that it is unknown, or missing, and not what type it is of", async () => {
    const id = await start("orders");
    const sent = async (body: object) =>
      (await call("POST", `/orders/${id}/events`, { body })).body["detail"];
    expect(await sent({ type: "CONFIRM_PIZZA", more: 1 })).toBe(
      "more: is not known here; leave it out.",
    );
    expect(await sent({ type: "ADD_PIZZA", data: { id: "p" } })).toBe("data.pizza: is missing.");
  });

  it("32 levels are not too deep", async () => {
    const id = await start("orders");
    const body = `{"type":"ADD_PIZZA","data":${nested(31)}}`;
    const answer = await call("POST", `/orders/${id}/events`, { body });
    expect(answer.status).toBe(422);
    expect(answer.body["detail"]).not.toMatch(/nested/);
  });

  it("a body without a length is counted as it comes", async () => {
    const id = await start("orders");
    let chunks = 0;
    const body = new ReadableStream({
      pull(controller) {
        chunks += 1;
        controller.enqueue(new TextEncoder().encode(" ".repeat(16 * 1024)));
        if (chunks > 50) controller.close();
      },
    });
    const answer = await exports.default.fetch(`https://durachart.test/orders/${id}/events`, {
      method: "POST",
      body,
      headers: {
        Authorization: `Bearer ${await tokenFor(operator)}`,
        "Content-Type": "application/json",
      },
    });
    expect(answer.status).toBe(413);
    await answer.body?.cancel();
  });

  it.each([
    ["a form", { "Content-Type": "application/x-www-form-urlencoded" }, 415],
    ["compressed", { "Content-Encoding": "gzip" }, 415],
    ["a bad idempotency key", { "Idempotency-Key": "a b" }, 400],
    ["an overlong idempotency key", { "Idempotency-Key": "k".repeat(256) }, 400],
  ])("%s", async (_, headers, status) => {
    const id = await start("orders");
    const body = { type: "CANCEL_ORDER" };
    const answer = await call("POST", `/orders/${id}/events`, { body, headers: headers as never });
    expect(answer.status).toBe(status);
    expect(await view("orders", id)).toMatchObject({ seq: 1 });
  });
});

describe("a bad start starts nothing", () => {
  it.each<[string, object, number, string]>([
    ["no id and no key", {}, 400, "id"],
    ["an id with a slash", { id: "a/b" }, 400, "id"],
    ["an id with a space", { id: "a b" }, 400, "id"],
    ["an empty id", { id: "" }, 400, "id"],
    ["two dots", { id: ".." }, 400, "id"],
    ["an id of 201 bytes", { id: "x".repeat(201) }, 400, "id"],
    ["an id that is no string", { id: 5 }, 422, "id"],
    ["an unknown field", { id: "x1", startsAt: 1 }, 422, "startsAt"],
    ["a bad input", { id: "x2", input: { customer: 5 } }, 422, "input.customer"],
    ["an unknown input", { id: "x3", input: { admin: true } }, 422, "input.admin"],
    ["a bad event", { id: "x4", event: { type: "ADD_PIZZA", data: {} } }, 422, "data.id"],
    ["a forged event", { id: "x5", event: { type: "xstate.stop" } }, 422, "type"],
  ])("%s", async (_, body, status, field) => {
    const answer = await call("POST", "/orders", { body });
    expect(answer).toMatchObject({ status, body: { status, field } });
    const { id } = body as { id?: unknown };
    if (typeof id === "string" && id.startsWith("x") && id.length < 10) {
      expect((await call("GET", `/orders/${id}`)).status).toBe(404);
    }
  });

  it("200 bytes are not too long", async () => {
    const id = `${freshId()}-`.padEnd(200, "x");
    expect((await call("POST", "/orders", { body: { id } })).status).toBe(201);
  });
});

describe("an address", () => {
  it.each([
    ["GET", "/pizzas/x", 404],
    ["POST", "/pizzas", 404],
    ["GET", "/orders/unknown", 404],
    ["GET", "/orders/unknown/history", 404],
    ["GET", "/orders/x/y/z", 404],
    ["GET", "/orders/a%2Fb", 400],
    ["GET", "/orders/%41", 400],
    ["GET", "/orders/a%20b/history", 400],
  ])("%s %s is %i", async (method, path, status) => {
    expect(await call(method, path)).toMatchObject({ status, body: { status } });
  });

  it.each([
    ["PUT", "/orders", "GET, POST"],
    ["PUT", "/orders/x", "GET"],
    ["GET", "/orders/x/events", "POST, OPTIONS"],
    ["POST", "/orders/x/history", "GET"],
    ["POST", "/orders/x/stream", "GET"],
    ["GET", "/events", "POST, OPTIONS"],
    ["POST", "/healthz", "GET"],
  ])("%s %s is 405, and says what it takes", async (method, path, allow) => {
    const answer = await call(method, path);
    expect(answer).toMatchObject({ status: 405, body: { status: 405 } });
    expect(answer.headers.get("allow")).toBe(allow);
  });

  it.each(["after=x", "after=-1", "after=1.5", "limit=0", "limit=1001", "limit="])(
    "a history with %s is 400",
    async (query) => {
      const id = await start("orders");
      expect(await call("GET", `/orders/${id}/history?${query}`)).toMatchObject({ status: 400 });
    },
  );
});

describe("the history", () => {
  it("comes in pages that lead on", async () => {
    const id = await start("probes");
    for (let count = 0; count < 4; count++) {
      await call("POST", `/probes/${id}/events`, { body: { type: "COUNT" } });
    }
    const seqs: number[] = [];
    let next: string | undefined = `/probes/${id}/history?limit=2`;
    while (next !== undefined) {
      const page: Answer = await call("GET", next);
      seqs.push(...(page.body["entries"] as { seq: number }[]).map(({ seq }) => seq));
      next = /<([^>]+)>; rel="next"/.exec(page.headers.get("link") ?? "")?.[1];
    }
    expect(seqs).toEqual([1, 2, 3, 4, 5]);
  });
});
