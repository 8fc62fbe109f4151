import { beforeEach, describe, expect, it } from "vitest";
import type { AllowedEvent, View } from "../../src/contract/view.ts";
import { call, customer, operator, send, start, stubOf, view } from "../support/client.ts";
import { resetWorld, world } from "../support/probe.ts";

beforeEach(resetWorld);

const addPizza = (id: string) => ({ type: "ADD_PIZZA", data: { id, pizza: "mango-tango" } });
const guardsOf = (allowed: AllowedEvent[]) =>
  Object.fromEntries(allowed.map(({ type, guard }) => [type, guard]));

describe("what is allowed", () => {
  it("follows the context, event by event", async () => {
    const id = await start("orders");
    expect(guardsOf((await view("orders", id)).allowed)).toEqual({
      ADD_PIZZA: "passes",
      REMOVE_PIZZA: "fails",
      CONFIRM_PIZZA: "fails",
      CANCEL_ORDER: "passes",
    });
    const added = await send("orders", id, addPizza("p1"));
    expect(guardsOf(added.body.allowed)).toEqual({
      ADD_PIZZA: "depends",
      REMOVE_PIZZA: "depends",
      CONFIRM_PIZZA: "passes",
      CANCEL_ORDER: "passes",
    });
    const removed = await send("orders", id, { type: "REMOVE_PIZZA", data: { id: "p1" } });
    expect(guardsOf(removed.body.allowed)).toMatchObject({ CONFIRM_PIZZA: "fails" });
  });

  it("is asked of the guards anew for each view, and a guard that throws breaks none", async () => {
    const id = await start("probes");
    const guarded = async () => guardsOf((await view("probes", id)).allowed)["GUARDED"];
    expect(await guarded()).toBe("passes");
    world.guard = () => false;
    expect(await guarded()).toBe("fails");
    world.guard = () => {
      throw new Error("the guard broke");
    };
    expect(await guarded()).toBe("depends");
    expect(await view("probes", id)).toMatchObject({ seq: 1, status: "active" });
  });

  it("has no links where the workflow has no schemas", async () => {
    const { allowed } = await view("probes", await start("probes"));
    expect(allowed).toContainEqual({ type: "COUNT", guard: "passes" });
  });

  it("links to the schemas of what the caller may send", async () => {
    const { body } = await call<View>("GET", `/orders/${await start("orders")}`, { as: customer });
    expect(body.allowed.length).toBe(4);
    for (const { type, schema } of body.allowed) {
      expect(schema).toBe(`/machines/orders/events/${type}`);
      const { status, headers } = await call("GET", schema as string, { as: customer });
      expect([status, headers.get("content-type")]).toEqual([200, "application/schema+json"]);
    }
  });
});

const addPizzaSchema = {
  type: "object",
  properties: {
    id: { type: "string", pattern: "^[A-Za-z0-9._~-]{1,64}$" },
    pizza: { enum: ["mango-tango", "banana-curry", "coconut-dream", "papaya-picante"] },
  },
  required: ["id", "pizza"],
  additionalProperties: false,
};

describe("expand=schema", () => {
  const expanded = { type: "ADD_PIZZA", schema: addPizzaSchema };

  it("puts the schemas in the place of the links, in views and in problems", async () => {
    const id = await start("orders");
    const { body } = await call<View>("GET", `/orders/${id}?expand=schema`);
    expect(body.allowed[0]).toMatchObject(expanded);
    expect({ ...body, allowed: [] }).toEqual({ ...(await view("orders", id)), allowed: [] });
    const sent = await call<View>("POST", `/orders/${id}/events?expand=schema`, {
      body: addPizza("p1"),
    });
    expect(sent.body.allowed[0]).toMatchObject({ ...expanded, guard: "depends" });
    const refused = await call<View>("POST", `/orders/${id}/events?expand=schema`, {
      body: { type: "RETRY" },
    });
    expect(refused).toMatchObject({ status: 409, body: { timers: [{}] } });
    expect(refused.body.allowed[0]).toMatchObject(expanded);
  });

  it("is all that can be expanded", async () => {
    const id = await start("orders");
    for (const expand of ["context", "", "schema,context"]) {
      expect(await call("GET", `/orders/${id}?expand=${expand}`)).toMatchObject({
        status: 400,
        body: { type: "urn:durachart:problem:bad-parameter", field: "expand" },
      });
      const body = addPizza("p1");
      const refused = await call("POST", `/orders/${id}/events?expand=${expand}`, { body });
      expect(refused.status).toBe(400);
    }
    expect(await view("orders", id)).toMatchObject({ seq: 1 });
  });

  it("changes nothing where nothing can be linked", async () => {
    const id = await start("probes");
    const { body } = await call("GET", `/probes/${id}?expand=schema`);
    expect(body).toEqual(await view("probes", id));
  });
});

describe("GET /machines/{workflow}/events/{type}", () => {
  it("answers the JSON Schema of the data as it is to be sent", async () => {
    const { status, body } = await call("GET", "/machines/orders/events/ADD_PIZZA");
    expect(status).toBe(200);
    expect(body).toMatchObject(addPizzaSchema);
    expect(body["$schema"]).toBe("https://json-schema.org/draft/2020-12/schema");
  });

  it("is for who has credentials, and GET only", async () => {
    const path = "/machines/orders/events/ADD_PIZZA";
    expect(await call("GET", path, { as: null })).toMatchObject({ status: 401 });
    const refused = await call("DELETE", path);
    expect([refused.status, refused.headers.get("allow")]).toEqual([405, "GET"]);
  });

  it.each(["orders/events/NOPE", "orders/events/%E0%A4%A", "nope/events/COIN"])(
    "answers 404 for %s",
    async (path) => {
      expect(await call("GET", `/machines/${path}`)).toMatchObject({ status: 404 });
    },
  );

  it("answers 404 where the workflow has no events table", async () => {
    expect(await call("GET", "/machines/probes/events/COUNT")).toMatchObject({ status: 404 });
  });
});

it("an operator is told what services alone may send", async () => {
  const id = await start("turnstiles");
  const expected = [{ type: "COIN", guard: "passes", schema: "/machines/turnstiles/events/COIN" }];
  expect((await view("turnstiles", id)).allowed).toEqual(expected);
  const { body } = await call<View>("GET", `/turnstiles/${id}`, { as: customer });
  expect(body.allowed).toEqual([]);
  const address = { tenant: operator.tenant, workflow: "turnstiles", id };
  const reply = await stubOf("turnstiles", id).get({ address, caller: operator });
  expect(reply).toMatchObject({ ok: true, json: expect.stringContaining(`"guard":"passes"`) });
});
