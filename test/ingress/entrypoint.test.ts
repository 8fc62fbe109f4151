import { exports } from "cloudflare:workers";
import { describe, expect, expectTypeOf, it } from "vitest";
import { toService, type BindingProps, type Message, type View } from "../../src/index.ts";
import { TerminalError } from "../../src/kernel/terminal-error.ts";
import { freshId, history, start, view } from "../support/client.ts";
import type { WorkflowsEntrypoint } from "../support/worker.ts";

type Entrypoint = Pick<
  InstanceType<typeof WorkflowsEntrypoint>,
  "start" | "send" | "get" | "deliver"
>;

/** A service binding with these props, as another Worker would hold it. */
function bind(props: BindingProps): Entrypoint {
  const loopback = exports as unknown as {
    WorkflowsEntrypoint(options: { props: BindingProps }): Entrypoint;
  };
  return loopback.WorkflowsEntrypoint({ props });
}

const shop = bind({ tenant: "tropical", subject: "gateway", roles: ["customer"] });
const add = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } } as const;

describe("a caller by service binding", () => {
  it("starts, sends and gets, once each", async () => {
    const id = freshId();
    expect(await shop.start("orders", { id })).toMatchObject({ ok: true, created: true });
    expect(await shop.start("orders", { id })).toMatchObject({
      ok: true,
      created: false,
      value: { id, seq: 1 },
    });
    const outcomes: unknown[] = [];
    for (let sending = 0; sending < 2; sending++) {
      const reply = await shop.send("orders", id, add, "key");
      outcomes.push(reply.ok && reply.value.outcome);
    }
    expect(outcomes).toEqual(["applied", "duplicate"]);
    const found = await shop.get("orders", id);
    expect(found).toMatchObject({ ok: true, value: { seq: 2, workflow: "orders" } });
  });

  it("gets problems as data", async () => {
    const id = freshId();
    const unknown = { ok: false, problem: { status: 404 } };
    expect(await shop.get("orders", id)).toMatchObject(unknown);
    expect(await shop.send("orders", id, add)).toMatchObject(unknown);
    expect(await shop.get("pizzas" as "orders", id)).toMatchObject(unknown);
    expect(await shop.get("orders", "a/b")).toMatchObject({ ok: false, problem: { status: 400 } });
    await shop.start("orders", { id });
    const forged = { type: "xstate.stop" } as unknown as typeof add;
    expect(await shop.send("orders", id, forged)).toMatchObject({
      ok: false,
      problem: { status: 422 },
    });
    const notMine = { type: "PIZZA_READY", data: {} } as const;
    expect(await shop.send("orders", id, notMine)).toMatchObject({
      ok: false,
      problem: { status: 403 },
    });
  });

  it("is nobody without props", async () => {
    const denied = { ok: false, problem: { status: 401 } };
    expect(await bind({}).start("orders", { id: freshId() })).toMatchObject(denied);
    expect(await bind({ tenant: "tropical" }).get("orders", "x")).toMatchObject(denied);
  });

  it("is held to the chart's events by the compiler", () => {
    const spinach = { id: "1", topping: "spinach" } as const;
    // @ts-expect-error -- no such event
    void (() => shop.send("orders", "x", { type: "EAT_PIZZA", data: {} }));
    // @ts-expect-error -- no pizza is named
    void (() => shop.send("orders", "x", { type: "ADD_PIZZA", data: spinach }));
    // @ts-expect-error -- no such workflow
    void (() => shop.get("pizzas", "x"));
    type Got = Awaited<ReturnType<typeof shop.get>>;
    expectTypeOf<Extract<Got, { ok: true }>["value"]>().toEqualTypeOf<View>();
  });
});

describe("a message by service binding", () => {
  const kitchen = bind({ tenant: "tropical", subject: "kitchen", roles: ["service"] });
  const transport = toService("ORCHESTRATOR")({ ORCHESTRATOR: kitchen });
  const message = (workflow: string, id: string, more: Partial<Message> = {}): Message => ({
    ...{ source: "/kitchen", id: crypto.randomUUID(), type: "COIN", time: Date.now() },
    about: { tenant: "tropical", workflow, id },
    ...more,
  });

  it("is applied once, and keeps its trace", async () => {
    const id = await start("turnstiles");
    const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const coin = message("turnstiles", id, { trace });
    for (let sent = 0; sent < 2; sent++) await transport.send(coin);
    expect(await view("turnstiles", id)).toMatchObject({ state: "open", seq: 2 });
    const entry = (await history("turnstiles", id)).at(-1);
    expect(entry?.event.attributes).toMatchObject({ id: coin.id, traceparent: trace });
  });

  it("is worth another try where its time may come, and none where it won't", async () => {
    const early = transport.send(message("turnstiles", freshId()));
    await expect(early).rejects.toThrow("Start it first");
    await expect(early).rejects.not.toBeInstanceOf(TerminalError);
    const id = await start("turnstiles");
    const unknown = transport.send(message("turnstiles", id, { type: "UNKNOWN" }));
    await expect(unknown).rejects.toBeInstanceOf(TerminalError);
    await expect(transport.send(message("nowhere", id))).rejects.toThrow("ORCHESTRATOR says");
    expect(await view("turnstiles", id)).toMatchObject({ seq: 1 });
  });

  it("is of the binding's tenant, whatever the envelope says", async () => {
    const id = await start("turnstiles");
    const other = { tenant: "other", workflow: "turnstiles", id };
    await transport.send(message("turnstiles", id, { about: other }));
    expect(await view("turnstiles", id)).toMatchObject({ state: "open" });
  });

  it("needs a binding", () => {
    expect(() => toService("NOWHERE")({})).toThrow("NOWHERE is not bound");
  });
});
