import { createExecutionContext, createMessageBatch, getQueueResult } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { Webhook } from "standardwebhooks";
import type { Caller } from "../../src/contract/caller.ts";
import { webhooksName, type WebhooksCalls } from "../../src/contract/webhooks.ts";
import type { ListedLetter } from "../../src/dead-letters/letters.ts";
import type { BindingProps, JournalEntry, View } from "../../src/index.ts";
import type { Listed } from "../../src/list/search.ts";
import { call, eventually, tokenFor } from "./client.ts";
import { die } from "./letters.ts";
import app, { type WorkflowsEntrypoint } from "./worker.ts";

/** Somebody with all rights that a tenant can have in its own realm. */
export const bossOf = (tenant: string): Caller => ({
  ...{ tenant, subject: "boss", roles: ["operator", "customer", "service"] },
  scopes: ["dead-letters"],
});

/** What a victim has, and by which names it is known: all of it is given to who attacks. */
export interface Holdings {
  boss: Caller;
  /** Stands in everything that is the victim's alone. */
  canary: string;
  ids: string[];
  sha256: string;
  letters: string[];
  endpoint: string;
  delivery: string;
  cursor: string;
  letterCursor: string;
  key: string;
  /** The CloudEvent's `source` and `id` that the first instance has taken. */
  event: { source: string; id: string };
}

const INSTANCES = 3;

/** Fills a tenant with one of everything. */
export async function settle(boss: Caller, canary: string): Promise<Holdings> {
  const { tenant } = boss;
  const ids = Array.from({ length: INSTANCES }, () => `o-${crypto.randomUUID().slice(0, 13)}`);
  const key = `key-${crypto.randomUUID().slice(0, 8)}`;
  const event = { source: "/till", id: `e-${crypto.randomUUID().slice(0, 8)}` };
  const headers = { "Idempotency-Key": key };
  await done(call("POST", "/orders", { as: boss, headers, body: { input: { customer: canary } } }));
  for (const id of ids) {
    await done(
      call("POST", "/orders", {
        as: boss,
        body: { id, input: { customer: canary, deliverTo: canary } },
      }),
    );
    const pizza = { type: "ADD_PIZZA", data: { id: "p1", pizza: "mango-tango" } };
    const path = `/orders/${id}/events`;
    await done(call("POST", path, { as: boss, body: pizza, headers }));
    await overQueue(tenant, `orders/${id}`, event);
  }
  const payload = await done(
    call<{ $payload: string }>("POST", `/orders/${ids[0]}/payloads`, {
      ...{ as: boss, body: JSON.stringify(canary), headers: { "Content-Type": "text/plain" } },
    }),
  );
  const envelope = (id: string) => ({
    tenant,
    event: {
      ...{ specversion: "1.0", id, source: "/till", type: "COUNT", subject: `orders/${ids[0]}` },
      data: canary,
    },
  });
  await die([envelope("dead-1"), envelope("dead-2")]);
  const endpoint = await done(
    call<{ id: string }>("POST", "/webhooks", {
      as: boss,
      body: { url: `${env.WEBHOOK_LOCAL_TARGETS}/${canary}`, description: canary },
    }),
  );
  const told = { ...envelope("told").event, subject: `orders/${ids[0]}` };
  const webhooks = env.WEBHOOKS.getByName(webhooksName({ tenant })) as unknown as WebhooksCalls;
  await webhooks.receive({ tenant }, JSON.stringify(told));
  await done(call("POST", `/webhooks/${endpoint.id}/disable`, { as: boss }));
  const [parked] = await eventually(
    async () => (await webhooks.deliveries({ tenant }, endpoint.id, PAGE)) as Deliveries,
    ({ value }) => value.parked.length > 0,
  ).then(({ value }) => value.parked);
  const { cursors, letters } = await eventually(
    async () => {
      const orders = await call<{ instances: Listed[] }>("GET", "/orders?limit=1", { as: boss });
      const all = await call<{ instances: Listed[] }>("GET", "/orders", { as: boss });
      const first = await call<{ letters: ListedLetter[] }>("GET", "/dead-letters?limit=1", {
        as: boss,
      });
      const dead = await call<{ letters: ListedLetter[] }>("GET", "/dead-letters", { as: boss });
      const cursors = [orders, first].map(({ headers }) => cursorIn(headers));
      const { instances } = all.body;
      const isTold =
        instances.length === INSTANCES + 1 &&
        instances.filter(({ seq }) => seq >= 3).length === INSTANCES;
      return { cursors, letters: dead.body.letters, isTold };
    },
    // Two from the queue, one of the webhooks.
    ({ letters, isTold }) => isTold && letters.length === 3,
  );
  return {
    ...{ boss, canary, ids, key, event, sha256: payload.$payload.replace("sha256-", "") },
    letters: letters.map(({ id }) => id),
    ...{ endpoint: endpoint.id, delivery: parked!.id },
    ...{ cursor: cursors[0]!, letterCursor: cursors[1]! },
  };
}

const PAGE = { after: 0, limit: 10 };
type Deliveries = { value: { parked: { id: string }[] } };

const cursorIn = (headers: Headers): string =>
  decodeURIComponent(/cursor=([^&>]+)/.exec(headers.get("link") ?? "")?.[1] ?? "");

async function done<Body>(asking: Promise<{ status: number; body: Body }>): Promise<Body> {
  const { status, body } = await asking;
  if (status >= 300) throw new Error(JSON.stringify(body));
  return body;
}

/** Everything that the victim is shown of what it has. */
export async function everythingOf({ boss, ids, letters, endpoint, sha256 }: Holdings) {
  const paths = [
    ...ids.flatMap((id) => [`/orders/${id}`, `/orders/${id}/history`, `/orders/${id}/verify`]),
    ...letters.map((id) => `/dead-letters/${id}`),
    ...["/orders?counts=true", "/dead-letters", "/webhooks"],
    ...[`/webhooks/${endpoint}`, `/webhooks/${endpoint}/deliveries`],
  ];
  const shown: unknown[] = [];
  for (const path of paths) {
    const { status, body } = await call("GET", path, { as: boss });
    shown.push({ path, status, body });
  }
  return [...shown, await plain("GET", `/orders/${ids[0]}/payloads/${sha256}`, boss)];
}

/** A request whose answer need not be JSON. */
export async function plain(method: string, path: string, as: Caller): Promise<Told> {
  const headers = { Authorization: `Bearer ${await tokenFor(as)}` };
  const response = await exports.default.fetch(`https://durachart.test${path}`, {
    method,
    headers,
  });
  return { status: response.status, body: await response.text() };
}

/** What somebody was answered, whichever way they asked. */
export interface Told {
  status: number | string;
  body: unknown;
}

/** By a queue, whose envelopes name their tenant. @returns what became of the message */
export async function overQueue(
  tenant: string,
  subject: string,
  { source, id }: { source: string; id: string },
): Promise<Told> {
  const event = { specversion: "1.0", id, source, type: "PIZZA_READY", subject };
  const body = { tenant, event };
  const batch = createMessageBatch("durachart-events", [
    { id: crypto.randomUUID(), timestamp: new Date(), attempts: 1, body },
  ]);
  const buried: unknown[] = [];
  const collecting = { send: (letter: unknown) => Promise.resolve(void buried.push(letter)) };
  const context = createExecutionContext();
  await app.queue(batch, { ...env, DEAD_LETTERS: collecting as unknown as Queue });
  const { explicitAcks, retryMessages } = await getQueueResult(batch, context);
  return { status: `${explicitAcks.length} ${retryMessages.length}`, body: buried };
}

/** By a webhook of a sender whom the settings give to that tenant. */
export async function overWebhook(
  tenant: string,
  subject: string,
  { source, id }: { source: string; id: string },
): Promise<Told> {
  const secret = `whsec_${btoa("0".repeat(24))}`;
  const sender = { name: "till", tenant, roles: ["service"], secrets: [secret] };
  const content = JSON.stringify({ specversion: "1.0", id, source, type: "PIZZA_READY", subject });
  const name = `msg_${crypto.randomUUID()}`;
  const now = new Date();
  const request = new Request("https://durachart.test/events", {
    method: "POST",
    body: content,
    headers: {
      "Content-Type": "application/cloudevents+json",
      "webhook-id": name,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": new Webhook(secret).sign(name, now, content),
    },
  });
  const settings = { ...env, WEBHOOK_SENDERS: JSON.stringify([sender]) };
  const response = await app.fetch(request, settings as never);
  return { status: response.status, body: await response.json() };
}

type Entrypoint = Pick<
  InstanceType<typeof WorkflowsEntrypoint>,
  "start" | "send" | "get" | "deliver"
>;

/** A service binding with these props, as another Worker would hold it. */
export function bind(props: BindingProps): Entrypoint {
  const loopback = exports as unknown as {
    WorkflowsEntrypoint(options: { props: BindingProps }): Entrypoint;
  };
  return loopback.WorkflowsEntrypoint({ props });
}

/** A socket's first message, or the refusal. */
export async function overSocket(path: string, as: Caller | null): Promise<Told> {
  const authorization: Record<string, string> =
    as === null ? {} : { Authorization: `Bearer ${await tokenFor(as)}` };
  const response = await exports.default.fetch(`https://durachart.test${path}`, {
    headers: { Upgrade: "websocket", ...authorization },
  });
  const { webSocket } = response;
  if (webSocket === null) return { status: response.status, body: await response.text() };
  const first = Promise.withResolvers<string>();
  webSocket.addEventListener("message", ({ data }) => first.resolve(String(data)));
  webSocket.accept();
  const { data } = JSON.parse(await first.promise) as { data: View | JournalEntry };
  webSocket.close(1000, "bye");
  return { status: 101, body: data };
}

/** Without what differs from one time, one tenant or one object to the next by chance. */
export function comparable(told: unknown, { tenant }: Caller): string {
  return (
    JSON.stringify(told)
      .replaceAll(tenant, "TENANT")
      // What is left until a timer fires.
      .replaceAll(/"after":\d{5,}/g, '"after":"REST"')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
      .replaceAll(/"(ticket|head|secret)":"[^"]*"/g, '"$1":"SECRET"')
  );
}
