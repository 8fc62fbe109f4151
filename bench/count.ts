import { join } from "node:path";
import type { Secrets } from "../src/cli/secrets.ts";
import { mintToken, tenant } from "../src/cli/secrets.ts";
import type { MeterReading } from "./metered.ts";
import { bundle, startServer } from "./workerd.ts";

export interface Count {
  /** What was done between two readings of the meter. */
  what: string;
  rows: number;
  commits: number;
}

/** Counts what one order writes, step by step, and what is left of it when it is done. */
export async function count(folder: string, secrets: Secrets) {
  const server = await startServer({
    folder: join(folder, "metered"),
    script: bundle("bench/metered.ts", join(folder, "metered-bundle")),
    className: "Instance",
    binding: "INSTANCES",
    variables: secrets.variables,
  });
  const staff = { subject: "bench", roles: ["operator"] };
  const token = await mintToken(secrets, staff, "10m");
  const origin = `http://127.0.0.1:${server.port}`;
  const id = "counted";

  const post = async (path: string, body: unknown) => {
    const response = await fetch(origin + path, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json",
        "Idempotency-Key": crypto.randomUUID(),
      },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(await response.text());
    await response.body?.cancel();
  };
  const read = async (path = `orders/${id}`): Promise<MeterReading> => {
    const response = await fetch(`${origin}/meter/${encodeURIComponent(`${tenant}/${path}`)}`);
    return (await response.json()) as MeterReading;
  };
  const settle = () => new Promise((resolve) => setTimeout(resolve, 50));

  const counts: Count[] = [];
  let before: MeterReading = { rowsWritten: 0, alarmsSet: 0, commits: 0, databaseBytes: 0 };
  const measure = async (what: string, path: string, body: unknown) => {
    await post(path, body);
    await settle();
    const after = await read();
    const rows = after.rowsWritten + after.alarmsSet - before.rowsWritten - before.alarmsSet;
    counts.push({ what, rows, commits: after.commits - before.commits });
    before = after;
  };
  const events = `/orders/${id}/events`;
  const add = (item: string) => ({
    type: "ADD_PIZZA",
    data: { id: item, pizza: "mango-tango" },
  });
  try {
    await measure("start", "/orders", { id });
    await measure("ADD_PIZZA (a plain event)", events, add("p1"));
    await measure("ADD_PIZZA (a plain event)", events, add("p2"));
    await measure("simulate (the whole order)", `/orders/${id}/simulate`, {
      suppose: [
        ...[{ type: "CONFIRM_PIZZA" }, { actor: "orderPizzaFromKitchen" }],
        ...[{ type: "PIZZA_IN_OVEN" }, { advance: 60_000 }, { type: "PIZZA_READY" }],
        ...[{ actor: "orderDelivery" }, { type: "PIZZA_DELIVERED" }],
      ],
    });
    await measure("CONFIRM_PIZZA (runs an actor, emits)", events, { type: "CONFIRM_PIZZA" });
    await measure("PIZZA_IN_OVEN (a plain event)", events, { type: "PIZZA_IN_OVEN" });
    await measure("PIZZA_READY (runs an actor, emits)", events, { type: "PIZZA_READY" });
    await measure("PIZZA_DELIVERED (emits)", events, { type: "PIZZA_DELIVERED" });
    const { databaseBytes: bytes } = before;
    await post("/shop", { id, event: add("p1"), input: { customer: "carla" } });
    const moves = ["CONFIRM_PIZZA", "PIZZA_IN_OVEN", "PIZZA_READY", "PIZZA_DELIVERED"];
    for (const event of [add("p2"), ...moves.map((type) => ({ type }))]) {
      await settle();
      await post(`/shop/${id}/events`, event);
    }
    await settle();
    const whole = await read(`shop/${id}`);
    counts.push({
      what: "a whole order with two pizzas and its catalog",
      rows: whole.rowsWritten + whole.alarmsSet,
      commits: whole.commits,
    });
    return { counts, bytes };
  } finally {
    await server.close();
  }
}
