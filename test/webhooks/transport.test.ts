import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { attachMeter } from "../../bench/meter.ts";
import type { Message } from "../../src/contract/message.ts";
import { toWebhooks } from "../../src/webhooks/transport.ts";
import { isTerminal } from "../../src/kernel/terminal-error.ts";
import { freshId } from "../support/client.ts";
import { remoteSink } from "../support/remote-sink.ts";
import { deliveries, objectOf, register, stranger } from "../support/webhooks.ts";

function message(tenant: string, data: unknown = {}): Message {
  const about = { tenant, workflow: "orders", id: "o-1" };
  return { source: "/orders/o-1", id: freshId(), type: "order.baked", data, time: 0, about };
}

const thrownBy = async (work: Promise<void>): Promise<unknown> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
};

describe("a message to webhooks", () => {
  it("fails for good where it is too large, and for now where the object isn't bound", async () => {
    const large = message(freshId(), "x".repeat(128_000));
    expect(isTerminal(await thrownBy(toWebhooks()(env).send(large)))).toBe(true);
    const unbound = await thrownBy(toWebhooks()({}).send(message(freshId())));
    expect(String(unbound)).toContain("bind it as WEBHOOKS");
    expect(isTerminal(unbound)).toBe(false);
  });

  it("costs thirteen rows for each endpoint, its first alarm among them, and two commits", async () => {
    const as = stranger();
    const { id, path } = await register(as);
    const { read } = await runInDurableObject(objectOf(as), (_, { storage }) => ({
      read: attachMeter(storage),
    }));
    await toWebhooks()(env).send(message(as.tenant));
    await expect.poll(async () => (await deliveries(as, id)).log.length).toBe(1);
    expect(await remoteSink.at(path)).toHaveLength(1);
    const { rowsWritten, alarmsSet, commits } = read();
    expect({ rows: rowsWritten + alarmsSet, commits }).toEqual({ rows: 13, commits: 2 });
  });
});
