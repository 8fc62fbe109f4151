import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { attachMeter } from "../../bench/meter.ts";
import { eventually, send, start, stubOf, view } from "../support/client.ts";

/** Counts what the object writes from now on: rows, one for each alarm, and transactions. */
async function meter(id: string): Promise<() => { rows: number; commits: number }> {
  const { read } = await runInDurableObject(stubOf("orders", id), (_instance, { storage }) => ({
    read: attachMeter(storage),
  }));
  return () => {
    const { rowsWritten, alarmsSet, commits } = read();
    return { rows: rowsWritten + alarmsSet, commits };
  };
}

const addPizza = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };

describe("an event costs", () => {
  it("three rows and one commit, when it neither sends nor schedules an earlier alarm", async () => {
    const id = await start("orders");
    const count = await meter(id);
    await send("orders", id, addPizza, { key: "k1" });
    expect(count()).toEqual({ rows: 3, commits: 1 });
  });

  it("two rows without an idempotency key, none when it is a duplicate or not taken", async () => {
    const id = await start("orders");
    await send("orders", id, addPizza, { key: "k1" });
    const count = await meter(id);
    await send("orders", id, addPizza, { key: "k1" });
    await send("orders", id, { type: "RETRY" }, { key: "k2" });
    expect(count().rows).toBe(0);
    await send("orders", id, { type: "REMOVE_PIZZA", data: { id: "p1" } });
    expect(count().rows).toBe(2);
  });

  it("nothing to look at", async () => {
    const id = await start("orders");
    const count = await meter(id);
    await view("orders", id);
    expect(count()).toEqual({ rows: 0, commits: 0 });
  });

  it("a row for each thing it starts, which is gone again when that is done", async () => {
    const id = await start("orders", addPizza);
    const count = await meter(id);
    await send("orders", id, { type: "CONFIRM_PIZZA" }, { key: "k1" });
    await eventually(
      () => view("orders", id),
      ({ state }) => JSON.stringify(state).includes("waiting"),
    );
    // The event (3), an actor, a message by two routes and an alarm (4); then the result (2) and three
    // rows done (3).
    await eventually(
      () => Promise.resolve(count()),
      ({ rows }) => rows === 12,
    );
    expect(count().commits).toBe(4);
  });
});
