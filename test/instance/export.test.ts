import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import { exportToQueue, exportToStream, type Transition } from "../../src/index.ts";
import { Engine } from "../../src/instance/engine.ts";
import { instanceClass } from "../../src/instance/instance.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { freshId, operator, stubOf } from "../support/client.ts";
import { probe } from "../support/probe.ts";

it("What is archived before it is exported is exported all the same", async () => {
  vi.spyOn(console, "error").mockReturnValue();
  const id = freshId();
  const address = { tenant: "tropical", workflow: "probes", id };
  const asked = { address, caller: operator };
  const arrived: Transition[] = [];
  let isDown = true;
  let now = 1_800_000_000_000;
  const sink = {
    send: (some: readonly Transition[]) =>
      isDown ? Promise.reject(new Error("down")) : Promise.resolve(void arrived.push(...some)),
  };
  await runInDurableObject(stubOf("probes", id), async (_instance, state) => {
    const engine = new Engine({
      ...{ context: state, env, destinations: {}, transports: {}, export: sink },
      workflows: registerWorkflows({ probes: probe }),
      clock: () => now,
      show: () => {},
    });
    engine.start({ ...asked, input: undefined, fingerprint: "one" });
    for (let count = 0; count < 30; count++) {
      engine.send(JSON.stringify({ ...asked, event: { type: "COUNT" } }));
    }
    const ring = async (): Promise<void> => {
      now += 3_600_000;
      engine.alarm();
      await new Promise((resolve) => setTimeout(resolve, 10));
    };
    await ring();
    const archived = await engine.control.archive({ ...asked, keep: 5 });
    expect(archived).toMatchObject({ ok: true });
    await ring();
    expect(arrived).toEqual([]);
    isDown = false;
    await ring();
  });
  expect(arrived.map(({ data }) => data.seq)).toEqual(Array.from({ length: 31 }, (_, n) => n + 1));
});

it("Where what it is exported to is not bound, instances live on, and the log says what is missing", async () => {
  const said = vi.spyOn(console, "error").mockReturnValue();
  const id = freshId();
  const asked = { address: { tenant: "tropical", workflow: "probes", id }, caller: operator };
  const Exporting = instanceClass(registerWorkflows({ probes: probe }), {
    export: exportToQueue("MISSING"),
  });
  await runInDurableObject(stubOf("probes", id), async (_instance, state) => {
    const instance = new Exporting(state, env);
    expect(instance.start({ ...asked, input: undefined, fingerprint: "one" })).toMatchObject({
      ok: true,
    });
    vi.setSystemTime(Date.now() + 60_000);
    instance.alarm();
    await new Promise((resolve) => setTimeout(resolve, 10));
    vi.useRealTimers();
  });
  expect(JSON.stringify(said.mock.calls)).toContain("MISSING, which is not bound");
  vi.restoreAllMocks();
});

it("A queue is given no more at once than it takes", async () => {
  const batches: number[][] = [];
  const EXPORT = {
    sendBatch: (messages: { body: unknown }[]) =>
      Promise.resolve(void batches.push(messages.map(({ body }) => JSON.stringify(body).length))),
  };
  const transition = { data: { event: { data: "x".repeat(20_000) } } } as unknown as Transition;
  await exportToQueue("EXPORT")({ EXPORT }).send(Array.from({ length: 50 }, () => transition));
  expect(batches.flat()).toHaveLength(50);
  for (const sizes of batches) {
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(256_000);
  }
  expect(() => exportToQueue("EXPORT")({})).toThrow("not bound");
});

it("A stream is given no more at once than it takes, and nothing waits behind what it can't take", async () => {
  const requests: Transition[][] = [];
  const EXPORT = {
    send: (records: Transition[]) => Promise.resolve(void requests.push(records)),
  };
  const transition = (size: number) =>
    ({ data: { event: { type: "NOTE", data: "x".repeat(size) }, changes: {} } }) as Transition;
  const sent = [transition(1_200_000), ...Array.from({ length: 99 }, () => transition(60_000))];
  await exportToStream("EXPORT")({ EXPORT }).send(sent);
  expect(requests.flat()).toHaveLength(100);
  // Cloudflare Pipelines, "Limits": 1 MB in one request.
  for (const records of requests) expect(JSON.stringify(records).length).toBeLessThan(1_000_000);
});

it("An entry larger than a message may be is exported without its values, and what follows it whole", async () => {
  const arrived: Transition[] = [];
  const EXPORT = {
    sendBatch: (messages: MessageSendRequest<Transition>[]) =>
      Promise.resolve(void arrived.push(...messages.map(({ body }) => body))),
  };
  const values = { data: "x".repeat(60_000), note: "ü".repeat(60_000) };
  const transition = (seq: number, value: object): Transition => ({
    ...{ specversion: "1.0", id: `1-${seq}`, source: "/orders/o-1", subject: "orders/o-1" },
    ...{ type: "durachart.transition", datacontenttype: "application/json", tenant: "tropical" },
    time: "2026-11-22T00:00:00Z",
    data: {
      ...{ epoch: 1, seq, at: "2026-11-22T00:00:00Z", outcome: "applied", by: "olga", state: "a" },
      event: { type: "NOTE", data: value },
      changes: { context: { set: { value }, unset: [] } },
    },
  });
  await exportToQueue("EXPORT")({ EXPORT }).send([transition(1, values), transition(2, {})]);
  expect(arrived).toHaveLength(2);
  // Cloudflare Queues, "Limits"; the local runtime holds nobody to it.
  const bytes = new TextEncoder().encode(JSON.stringify(arrived[0])).byteLength;
  expect(bytes).toBeLessThan(128_000);
  expect(arrived[0]).toMatchObject({ id: "1-1", isshortened: true, data: { seq: 1, state: "a" } });
  expect(arrived[0]!.data).toMatchObject({ event: { type: "NOTE" }, changes: {} });
  expect(arrived[1]).toEqual(transition(2, {}));
});
