import { env } from "cloudflare:workers";
import { describe, expect, it, vi } from "vitest";
import { problem } from "../../src/contract/problem.ts";
import { realmOfOwn } from "../../src/contract/realm.ts";
import { fileLetters } from "../../src/dead-letters/file.ts";
import app from "../support/worker.ts";
import { envelope, freshTenant, list, read, redrive } from "../support/letters.ts";

describe("a dead letter", () => {
  it("that can't be written as JSON is filed as far as it can be, and its neighbours whole", async () => {
    const tenant = freshTenant();
    let deep: unknown = "bottom";
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    const messages = [envelope(tenant), { tenant, size: 1n }, { tenant, deep }].map((body) => ({
      ...{ id: crypto.randomUUID(), timestamp: new Date(), attempts: 3, body },
      ...{ ack: vi.fn(), retry: vi.fn() },
    }));
    await app.queue({ queue: "kitchen-dead", messages } as unknown as MessageBatch, env);
    for (const { ack, retry } of messages) {
      expect(ack).toHaveBeenCalledOnce();
      expect(retry).not.toHaveBeenCalled();
    }
    const letters = await list(tenant);
    expect(letters).toHaveLength(3);
    const bodies = await Promise.all(letters.map(async ({ id }) => (await read(tenant, id)).body));
    const cut = bodies.map(({ body }) => body as Record<string, unknown>);
    const lost = cut.findIndex((one) => "unreadable" in one);
    const sent: unknown[] = [];
    expect(await redrive(tenant, letters[lost]!.id, sent)).toMatchObject({ status: 502 });
    expect(sent).toEqual([]);
    expect(cut.filter((one) => "unreadable" in one)).toHaveLength(2);
    expect(cut.filter((one) => "event" in one)).toHaveLength(1);
  });

  it("whose reason is hostile is filed, and one that can't be filed holds up no other", async () => {
    const tenant = freshTenant();
    let deep: unknown = "bottom";
    for (let depth = 0; depth < 5_000; depth++) deep = [deep];
    const forged = { queue: "kitchen", attempts: Infinity, reason: { detail: "mine", deep } };
    const bodies = [{ ...forged, body: envelope(tenant) }, envelope(tenant)];
    const messages = bodies.map((body) => ({
      ...{ id: crypto.randomUUID(), timestamp: new Date(), attempts: 3, body },
      ...{ ack: vi.fn(), retry: vi.fn() },
    }));
    const broken = {
      ...messages[0]!,
      id: "broken",
      timestamp: undefined,
      ack: vi.fn(),
      retry: vi.fn(),
    };
    const all = [broken, ...messages];
    await app.queue({ queue: "kitchen-dead", messages: all } as unknown as MessageBatch, env);
    for (const { ack } of messages) expect(ack).toHaveBeenCalledOnce();
    expect(broken.retry).toHaveBeenCalledOnce();
    const reasons = (await list(tenant)).map(({ reason }) => reason.detail);
    expect(reasons.toSorted()).toEqual(["The retries of the queue kitchen are exhausted.", "mine"]);
  });

  it("is filed with others in statements that D1 takes, in whatever script it is written", async () => {
    const sizes: number[] = [];
    const database = {
      prepare: () => ({
        bind: (text: string) => {
          sizes.push(new TextEncoder().encode(text).byteLength);
          return { run: () => Promise.resolve() };
        },
      }),
    } as unknown as D1Database;
    const letters = Array.from({ length: 20 }, (_, index) => ({
      ...{
        whose: realmOfOwn({ tenant: "t" }),
        origin: "webhook:ep",
        message: `m-${index}`,
        attempts: 1,
        at: 1,
      },
      ...{ reason: problem("exhausted", "so"), body: { data: "比".repeat(42_000) } },
    }));
    await fileLetters(() => database, letters);
    expect(sizes.length).toBeGreaterThan(0);
    for (const size of sizes) expect(size).toBeLessThan(2_000_000);
  });
});
