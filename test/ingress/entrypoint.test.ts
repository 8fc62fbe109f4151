import { exports } from "cloudflare:workers";
import { describe, expect, expectTypeOf, it } from "vitest";
import type { BindingProps, View } from "../../src/index.ts";
import { freshId } from "../support/client.ts";
import type { WorkflowsEntrypoint } from "../support/worker.ts";

type Entrypoint = Pick<InstanceType<typeof WorkflowsEntrypoint>, "start" | "send" | "get">;

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
    const spinach = { id: "1", pizza: "spinach" } as const;
    // @ts-expect-error -- no such event
    void (() => shop.send("orders", "x", { type: "EAT_PIZZA", data: {} }));
    // @ts-expect-error -- no such pizza
    void (() => shop.send("orders", "x", { type: "ADD_PIZZA", data: spinach }));
    // @ts-expect-error -- no such workflow
    void (() => shop.get("pizzas", "x"));
    type Got = Awaited<ReturnType<typeof shop.get>>;
    expectTypeOf<Extract<Got, { ok: true }>["value"]>().toEqualTypeOf<View>();
  });
});
