import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import type { BindingProps } from "../../src/index.ts";
import { signedContent } from "../../src/ingress/signed-content.ts";
import { operate, freshId, history, send, start } from "../support/client.ts";
import app, { type WorkflowsEntrypoint } from "../support/worker.ts";

type Entrypoint = Pick<InstanceType<typeof WorkflowsEntrypoint>, "send">;

function bind(props: BindingProps): Entrypoint {
  const loopback = exports as unknown as {
    WorkflowsEntrypoint(options: { props: BindingProps }): Entrypoint;
  };
  return loopback.WorkflowsEntrypoint({ props });
}

const event = (id: string, type: string) => ({
  ...{ specversion: "1.0", id: freshId(), source: "/kitchen", type, subject: `turnstiles/${id}` },
});

async function overQueue(id: string, type: string): Promise<void> {
  const body = { tenant: "tropical", event: event(id, type) };
  const message = { id: freshId(), timestamp: new Date(), attempts: 1, body };
  const batch = createMessageBatch("durachart-events", [message]);
  const context = createExecutionContext();
  await app.queue(batch, env as never);
  expect((await getQueueResult(batch, context)).explicitAcks).toEqual([message.id]);
}

async function overWebhook(id: string, type: string): Promise<number> {
  const headers = new Headers({ "content-type": "application/cloudevents+json" });
  const body = JSON.stringify(event(id, type));
  const name = freshId();
  const at = new Date();
  headers.set("webhook-id", name);
  headers.set("webhook-timestamp", String(Math.floor(at.getTime() / 1_000)));
  const signature = new Webhook(env.TEST_WEBHOOK_SECRET).sign(
    name,
    at,
    signedContent(headers, body),
  );
  headers.set("webhook-signature", signature);
  const url = "https://durachart.test/events";
  return (await exports.default.fetch(url, { method: "POST", headers, body })).status;
}

const credentials = async (id: string) =>
  (await history("turnstiles", id)).map(({ by, credential }) => [by, credential]);

describe("the journal says by which credential something came", () => {
  it("over a queue, by webhook, by service binding", async () => {
    const id = await start("turnstiles");
    const binding = { tenant: "tropical", subject: "gateway", roles: ["operator"] };
    // Whatever its props say of that, the credential is the binding.
    const shop = bind({ ...binding, credential: "token:forged" });
    const count = { type: "COIN" } as never;
    expect(await shop.send("turnstiles", id, count)).toMatchObject({ ok: true });
    await operate("turnstiles", id, "pause");
    await overQueue(id, "COIN");
    expect(await overWebhook(id, "COIN")).toBe(202);
    const told = await credentials(id);
    expect(told.slice(1)).toEqual([
      ["gateway", "binding:gateway"],
      ["olga", "token:test"],
      ["queue:/kitchen", "queue"],
      ["webhook:broker", "webhook:broker"],
    ]);
  });

  it("also of what waited: held, and deferred", async () => {
    const id = await start("turnstiles");
    const props = { tenant: "tropical", subject: "gate", roles: ["service"] };
    const gate = bind(props) as unknown as {
      send(workflow: string, id: string, event: object): Promise<{ ok: boolean }>;
    };
    await operate("turnstiles", id, "pause");
    expect(await gate.send("turnstiles", id, { type: "COIN" })).toMatchObject({ ok: true });
    await operate("turnstiles", id, "resume");
    const told = await credentials(id);
    expect(told.at(-1)).toEqual(["gate", "binding:gate"]);
    expect(told.filter(([, credential]) => credential === "binding:gate")).toHaveLength(2);
    await send("turnstiles", id, { type: "PUSH" });
  });
});
