import { createMessageBatch, getQueueResult, createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import type { JournalEntry } from "../../src/contract/view.ts";
import type { Buried } from "../../src/ingress/queue.ts";
import { call, freshId, start, view } from "../support/client.ts";
import app from "../support/worker.ts";

const queue = "durachart-events";

interface Sent {
  id: string;
  timestamp: Date;
  attempts: number;
  body: unknown;
}

const sent = (body: unknown, attempts = 1): Sent => ({
  id: crypto.randomUUID(),
  timestamp: new Date(),
  attempts,
  body,
});

const envelope = (subject: string, type: string, attributes: object = {}) => ({
  tenant: "tropical",
  event: {
    specversion: "1.0",
    id: crypto.randomUUID(),
    source: "/kitchen",
    type,
    subject,
    ...attributes,
  },
});

/** Delivers a batch, and gives what became of each message and what was buried. */
async function deliver(messages: Sent[], deadLetters?: Queue) {
  const letters: Buried[] = [];
  const collecting = {
    // As the real one, it takes nothing that JSON can't write.
    send: async (letter: Buried) => void letters.push(JSON.parse(JSON.stringify(letter)) as Buried),
  };
  const batch = createMessageBatch(queue, messages);
  const context = createExecutionContext();
  await app.queue(batch, { ...env, DEAD_LETTERS: deadLetters ?? (collecting as unknown as Queue) });
  const result = await getQueueResult(batch, context);
  return { letters, acks: result.explicitAcks, retries: result.retryMessages };
}

async function order(): Promise<string> {
  const id = await start("orders", { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } });
  await call("POST", `/orders/${id}/events`, { body: { type: "CONFIRM_PIZZA" } });
  return id;
}

describe("the queue consumer", () => {
  it("brings each message to its instance, and acknowledges it", async () => {
    const [one, two] = [await order(), await order()];
    const messages = [
      sent(envelope(`orders/${one}`, "PIZZA_IN_OVEN")),
      sent(envelope(`orders/${two}`, "PIZZA_FAILED", { data: { reason: "cold" } })),
      sent(envelope(`orders/${one}`, "PIZZA_READY")),
    ];
    const { acks, retries } = await deliver(messages);
    expect(acks.toSorted()).toEqual(messages.map(({ id }) => id).toSorted());
    expect(retries).toEqual([]);
    expect((await view("orders", one)).state).toHaveProperty("deliverPizza");
    expect((await view("orders", two)).state).toEqual({ bakePizza: "errorInKitchen" });
  });

  it("starts an instance, once, and brings it what came in the same batch", async () => {
    const id = freshId();
    const input = { purpose: "orders/o-1", due: { amount: 100, currency: "EUR" } };
    const begins = envelope(`echoes/${id}`, "durachart.start", { data: {} });
    const again = sent(begins);
    const { acks } = await deliver([sent(begins), again]);
    expect(acks).toHaveLength(2);
    expect(await view("echoes", id)).toMatchObject({ id, seq: 1 });
    expect((await deliver([sent(begins, 2)])).acks).toHaveLength(1);

    // With another input it is another start; and payments let no service start any.
    const other = envelope(`echoes/${id}`, "durachart.start", { data: { other: true } });
    const payment = envelope(`payments/${id}`, "durachart.start", { data: input });
    const { letters } = await deliver([sent(other), sent(payment)]);
    expect(new Set(letters.map(({ reason }) => reason.status))).toEqual(new Set([403, 409]));
  });

  it("applies a duplicate once, in the same batch and in a later one", async () => {
    const id = await order();
    const body = envelope(`orders/${id}`, "PIZZA_FAILED", { data: { reason: "cold" } });
    expect((await deliver([sent(body), sent(body)])).acks).toHaveLength(2);
    const { seq } = await view("orders", id);
    expect((await deliver([sent(body, 2)])).acks).toHaveLength(1);
    expect(await view("orders", id)).toMatchObject({ seq });
  });

  it("lets no message that can't be read hold up its neighbours", async () => {
    const id = await order();
    const good = sent(envelope(`orders/${id}`, "PIZZA_IN_OVEN"));
    // What a queue of the content type "v8" may carry, and JSON may not.
    const unreadable = [sent({ tenant: "tropical", event: { size: 1n } }), sent({ tenant: 1n })];
    const { acks, retries } = await deliver([...unreadable, good]);
    expect(acks).toEqual([good.id]);
    expect(retries.map(({ msgId }) => msgId).toSorted()).toEqual(
      unreadable.map((one) => one.id).toSorted(),
    );
  });

  it("takes what comes out of order: what was overtaken is journalled and ignored", async () => {
    const id = await order();
    const ready = sent(envelope(`orders/${id}`, "PIZZA_READY"));
    const inOven = sent(envelope(`orders/${id}`, "PIZZA_IN_OVEN"));
    const { acks } = await deliver([ready, inOven]);
    expect(acks).toHaveLength(2);
    expect((await view("orders", id)).state).toHaveProperty("deliverPizza");
  });

  it("tries again later for an order that doesn't exist yet, ever further apart", async () => {
    const id = freshId();
    const body = envelope(`orders/${id}`, "PIZZA_READY");
    const first = await deliver([sent(body)]);
    expect(first.retries).toHaveLength(1);
    expect([...first.acks, ...first.letters]).toEqual([]);

    const delays: unknown[] = [];
    for (const attempts of [1, 2, 5, 9]) {
      const message = {
        ...sent(body, attempts),
        retry: (options: unknown) => delays.push(options),
      };
      const batch = { queue, messages: [message] } as unknown as MessageBatch;
      await app.queue(batch, env);
    }
    expect(delays).toEqual([5, 10, 80, 300].map((delaySeconds) => ({ delaySeconds })));
  });

  it("tries again what is not allowed yet: queues keep no order", async () => {
    const id = await start("turnstiles");
    const push = sent(envelope(`turnstiles/${id}`, "PUSH"));
    const early = await deliver([push]);
    expect(early.retries).toHaveLength(1);
    await deliver([sent(envelope(`turnstiles/${id}`, "COIN"))]);
    expect((await deliver([push])).acks).toHaveLength(1);
    expect(await view("turnstiles", id)).toMatchObject({ state: "locked", seq: 3 });
  });

  it("lets nothing overtake a message that has to wait", async () => {
    const id = await start("turnstiles");
    const push = sent(envelope(`turnstiles/${id}`, "PUSH"));
    const coin = sent(envelope(`turnstiles/${id}`, "COIN"));
    const { acks, retries } = await deliver([push, coin]);
    expect(acks).toEqual([]);
    expect(retries).toHaveLength(2);
    expect(await view("turnstiles", id)).toMatchObject({ state: "locked", seq: 1 });
  });

  it("buries what services may never send", async () => {
    const id = await start("probes");
    const { letters, retries } = await deliver([sent(envelope(`probes/${id}`, "COUNT"))]);
    expect(retries).toEqual([]);
    expect(letters).toMatchObject([{ reason: { status: 403 } }]);
  });

  it.each<[string, unknown]>([
    ["nothing", null],
    ["over 64 KiB", envelope("turnstiles/x", "COIN", { data: { big: "x".repeat(65_536) } })],
    ["a string", "hello"],
    ["no tenant", { event: {} }],
    ["no CloudEvent", { tenant: "tropical", event: { type: "PIZZA_READY" } }],
    ["an internal type", envelope("orders/x", "xstate.stop")],
    ["a bad subject", envelope("orders", "PIZZA_READY")],
    ["bad data", envelope("orders/x", "PIZZA_FAILED", { data: {} })],
  ])("buries poison with its reason and spares its batch-mates: %s", async (_, body) => {
    const id = await order();
    const good = sent(envelope(`orders/${id}`, "PIZZA_READY"));
    const poison = sent(body);
    const { acks, letters, retries } = await deliver([poison, good]);
    expect(acks.toSorted()).toEqual([poison.id, good.id].toSorted());
    expect(retries).toEqual([]);
    expect(letters).toMatchObject([{ queue, body, attempts: 1 }]);
    expect(letters[0]!.reason.status).toBeGreaterThanOrEqual(400);
    expect((await view("orders", id)).state).toHaveProperty("deliverPizza");
  });

  it("takes a dead letter that is put back, once what was wrong with it is mended", async () => {
    const id = freshId();
    const message = sent(envelope(`turnstiles/${id}`, "COIN"), 17);
    const unstarted = await deliver([message]);
    expect(unstarted.retries).toHaveLength(1);
    // The platform moves it to the dead-letter queue; there its body is kept as it came.
    await call("POST", "/turnstiles", { body: { id } });
    const { acks } = await deliver([sent(message.body)]);
    expect(acks).toHaveLength(1);
    expect(await view("turnstiles", id)).toMatchObject({ state: "open" });
    await deliver([sent(message.body)]);
    expect(await view("turnstiles", id)).toMatchObject({ state: "open", seq: 2 });
  });

  it("keeps poison that can't be buried", async () => {
    const broken = { send: () => Promise.reject(new Error("no queue")) } as unknown as Queue;
    const { acks, retries } = await deliver([sent("poison")], broken);
    expect(acks).toEqual([]);
    expect(retries).toHaveLength(1);
  });
});

describe("events of one instance in a batch", () => {
  /** Counts the calls to objects. */
  function counting() {
    const calls: string[] = [];
    const INSTANCES = {
      getByName: (name: string) =>
        new Proxy(env.INSTANCES.getByName(name), {
          get: (stub, method: string) => {
            const called = (stub as unknown as Record<string, (...given: unknown[]) => unknown>)[
              method
            ];
            return (...given: unknown[]) => {
              calls.push(`${method} ${name}`);
              return called!(...given);
            };
          },
        }),
    };
    return { calls, env: { ...env, INSTANCES: INSTANCES as unknown as typeof env.INSTANCES } };
  }

  const deliverCounted = async (messages: Sent[]) => {
    const { calls, env: counted } = counting();
    const batch = createMessageBatch(queue, messages);
    const context = createExecutionContext();
    await app.queue(batch, counted);
    const result = await getQueueResult(batch, context);
    return { calls, acks: result.explicitAcks, retries: result.retryMessages };
  };

  it("are one call, in their order, each with an entry and an acknowledgement of its own", async () => {
    const id = await start("turnstiles");
    // In any other order some would not be allowed.
    const types = Array.from({ length: 100 }, (_, n) => (n % 2 === 0 ? "COIN" : "PUSH"));
    const messages = types.map((type) => sent(envelope(`turnstiles/${id}`, type)));
    const { calls, acks } = await deliverCounted(messages);
    expect(calls).toEqual([`sendAll tropical/turnstiles/${id}`]);
    expect(acks).toHaveLength(100);
    const { body } = await call("GET", `/turnstiles/${id}/history?after=1`);
    const entries = body["entries"] as JournalEntry[];
    expect(entries.map(({ event, outcome }) => [event.type, outcome])).toEqual(
      types.map((type) => [type, "applied"]),
    );
  });

  it("a hundred for a hundred orders are a hundred calls", async () => {
    const ids = await Promise.all(Array.from({ length: 100 }, () => start("turnstiles")));
    const messages = ids.map((id) => sent(envelope(`turnstiles/${id}`, "COIN")));
    const { calls, acks } = await deliverCounted(messages);
    expect(calls).toHaveLength(100);
    expect(acks).toHaveLength(100);
  });

  it("carry their trace to what they lead to", async () => {
    const id = await start("orders", {
      type: "ADD_PIZZA",
      data: { id: "p1", pizza: "mango-tango" },
    });
    await call("POST", `/orders/${id}/events`, { body: { type: "CONFIRM_PIZZA" } });
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    await deliverCounted([sent(envelope(`orders/${id}`, "PIZZA_READY", { traceparent }))]);
    const { body } = await call("GET", `/orders/${id}/history`);
    const entry = (body["entries"] as JournalEntry[]).find(
      ({ event }) => event.type === "PIZZA_READY",
    );
    expect(entry?.event.attributes?.["traceparent"]).toBe(traceparent);
  });
});
