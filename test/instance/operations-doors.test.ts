import { describe, expect, it } from "vitest";
import {
  call,
  customer,
  freshId,
  history,
  operate,
  service,
  start,
  view,
} from "../support/client.ts";

const operations = [
  ...["pause", "resume", "cancel", "terminate", "retry", "rewind", "migrate", "erase", "simulate"],
];

/** A body that each takes. */
const good: Record<string, object> = { rewind: { to: 1 }, simulate: { suppose: [] } };

const bad: Record<string, unknown[]> = {
  pause: [{ why: "x" }, [], "pause", 7, { reason: 7 }, { reason: "x".repeat(501) }],
  resume: [{ at: 1 }],
  cancel: [{ type: "X" }, { reason: "x" }],
  terminate: [{ force: true }],
  retry: [{ incident: 7 }, { incidents: [] }],
  rewind: [{}, { to: 0 }, { to: -1 }, { to: 1.5 }, { to: "1" }, { to: 1, shiftTimers: "yes" }],
  migrate: [{ to: 2 }, { version: "2" }],
  erase: [{ force: "yes" }, { reason: "x" }],
  simulate: [
    ...[{}, { suppose: {} }, { suppose: [{}] }, { suppose: [{ advance: -1 }] }],
    ...[{ suppose: [{ advance: 1e15 }] }, { suppose: [], from: 0 }, { suppose: [{ type: 7 }] }],
    { suppose: Array.from({ length: 101 }, () => ({ advance: 1 })) },
  ],
};

describe.each(operations)("%s", (name) => {
  it("is for operators", async () => {
    const id = await start("orders");
    for (const as of [customer, service]) {
      const { status, body } = await operate("orders", id, name, good[name], as);
      // What would happen may be asked by everybody; a customer's event stays a customer's.
      if (name === "simulate") expect(status).toBe(200);
      else
        expect({ status, type: body.type }).toEqual({
          status: 403,
          type: "urn:durachart:problem:forbidden",
        });
    }
    expect(await view("orders", id)).toMatchObject({ status: "active", seq: 1 });
  });

  it("asks for credentials, for POST, for an instance and for a workflow that there is", async () => {
    const id = await start("orders");
    const path = `/orders/${id}/${name}`;
    const body = good[name];
    expect((await call("POST", path, { as: null, body })).status).toBe(401);
    for (const method of ["GET", "PUT", "DELETE"]) {
      const { status, headers } = await call(method, path);
      expect({ status, allow: headers.get("allow") }).toEqual({ status: 405, allow: "POST" });
    }
    const nobody = freshId();
    expect((await operate("orders", nobody, name, body)).status).toBe(404);
    expect((await call("GET", `/orders/${nobody}`)).status).toBe(404);
    expect((await operate("nowhere", id, name, body)).status).toBe(404);
    const stranger = { tenant: "arctic", subject: "olaf", roles: ["operator"] };
    expect((await operate("orders", id, name, body, stranger)).status).toBe(404);
    expect(await view("orders", id)).toMatchObject({ status: "active", seq: 1 });
  });

  it("refuses bodies that it doesn't know, and does nothing", async () => {
    const id = await start("orders");
    const path = `/orders/${id}/${name}`;
    for (const body of bad[name]!) {
      const { status } = await call("POST", path, { body: JSON.stringify(body) });
      expect({ body, status }).toEqual({ body, status: 422 });
    }
    expect((await call("POST", path, { body: "{" })).status).toBe(400);
    const headers = { "Content-Type": "text/plain" };
    expect((await call("POST", path, { body: "{}", headers })).status).toBe(415);
    expect(await history("orders", id)).toHaveLength(1);
    expect(await view("orders", id)).toMatchObject({ status: "active", seq: 1 });
  });
});

describe("an operation", () => {
  it("has no effect on an object that was never started: it stays empty", async () => {
    const id = freshId();
    for (const name of operations) await operate("orders", id, name, good[name]);
    expect((await call("GET", `/orders/${id}/history/1`)).status).toBe(404);
    expect((await call("POST", "/orders", { body: { id } })).status).toBe(201);
  });

  it("without a body is one without wishes", async () => {
    const id = await start("orders");
    const { status, body } = await call("POST", `/orders/${id}/terminate`);
    expect({ status, body }).toMatchObject({ status: 200, body: { status: "stopped" } });
  });

  it.each(["0", "-1", "1.5", "x", "99999999999999999999"])(
    "of history/%s is refused",
    async (seq) => {
      const id = await start("orders");
      expect((await call("GET", `/orders/${id}/history/${seq}`)).status).toBe(400);
    },
  );

  it("of a moment that isn't there yet is not found", async () => {
    const id = await start("orders");
    expect((await call("GET", `/orders/${id}/history/2`)).status).toBe(404);
    expect((await operate("orders", id, "rewind", { to: 2 })).status).toBe(409);
  });

  it("that sends the chart's own way out is an event like any other", async () => {
    const id = await start("orders");
    const data = { reason: "hungry no more" };
    const { body } = await operate("orders", id, "cancel", { data });
    expect(body).toMatchObject({
      ...{ status: "done", state: "cancelled", context: { reason: "hungry no more" } },
      operation: { name: "cancel", changed: true, event: "CANCEL_ORDER", outcome: "applied" },
    });
    expect((await history("orders", id)).at(-1)).toMatchObject({
      ...{ event: { type: "CANCEL_ORDER", data }, by: "olga" },
    });
    expect((await operate("orders", id, "cancel")).status).toBe(409);
    const probe = await start("probes");
    const refused = await operate("probes", probe, "cancel");
    expect(refused).toMatchObject({
      status: 409,
      body: { detail: expect.stringMatching(/names no event/) as string },
    });
  });
});
