import { describe, expect, it } from "vitest";
import { call, freshId } from "../support/client.ts";
import type { EventReply, View } from "../../src/index.ts";

describe("an event", () => {
  it("moves the instance and is answered with the view", async () => {
    const id = freshId();
    const started = await call<View>("POST", "/orders", { body: { id } });
    expect(started).toMatchObject({ status: 201, body: { id, state: "orderPizza", seq: 1 } });
    const answer = await call<EventReply>("POST", `/orders/${id}/events`, {
      body: { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } },
    });
    expect(answer).toMatchObject({
      status: 200,
      body: { outcome: "applied", seq: 2, context: { items: [{ id: "p1" }] } },
    });
  });
});
