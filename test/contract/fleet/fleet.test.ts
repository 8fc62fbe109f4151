import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findBroker } from "../../../src/cli/broker-server.ts";
import { quietly, root } from "../../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../../src/cli/secrets.ts";
import type { View } from "../../../src/index.ts";
import type { Connection } from "../../../src/rabbitmq/connection.ts";
import { declareTopology } from "../../../src/rabbitmq/declare.ts";
import { connectTo, startBroker, type TestBroker } from "../../support/broker.ts";
import { eventually } from "../../support/eventually.ts";
import { LossyProxy } from "../../support/lossy-proxy.ts";
import { randomFrom } from "../../support/random.ts";
import { tryOf, type Try } from "../other-side.ts";
import { FaultySink, type Fate } from "./faulty-sink.ts";
import { fleetTopology, QUEUE_BY_AMQP, QUEUE_BY_HTTP } from "./names.ts";

const isWithBroker = findBroker() !== null;

/** Destinations of each instance: one that fails now and then, one that is dead for long, one that is well. */
const [FAULTY, DEAD, WELL] = [0, 1, 2];
const SENDERS = 4;
const MESSAGES = 4;

/** Whether each keeps an instance's order at one destination: as in `test/contract/transports`. */
const transports = [
  { name: "queue", isInOrder: false, hasReceivers: true },
  { name: "service", isInOrder: true, hasReceivers: true },
  { name: "webhooks", isInOrder: true, hasReceivers: true },
  { name: "http", isInOrder: false, hasReceivers: true },
  // All that goes by AMQP ends at the same broker, which fails as a whole.
  { name: "amqp", isInOrder: true, hasReceivers: false },
].filter(({ name }) => isWithBroker || (name !== "amqp" && name !== "http"));

const patience = { timeout: 45_000, interval: 50 };
const random = randomFrom(20_261_122);
let isDead = true;

const fateOf = (path: string, { lane }: Try): Fate => {
  if (lane === WELL) return "take";
  // A queue's consumer that hangs would hold up its batch, which is the receiver's own affair.
  if (lane === DEAD) return !isDead ? "take" : path === "/queue" ? "refuse" : "hang";
  const luck = random();
  if (luck < 0.25) return "refuse";
  if (luck < 0.45) return "forget";
  return luck < 0.6 ? "slow" : "take";
};

const sink = new FaultySink((path, headers, body) => {
  const id = headers["webhook-id"];
  return tryOf(JSON.parse(body), typeof id === "string" ? id : undefined);
});
const folder = mkdtempSync(join(tmpdir(), "durachart-contract-"));
const secrets = makeSecrets();
const came = new Map<string, Try[]>(transports.map(({ name }) => [name, []]));
let api: FaultySink | undefined;
let broker: TestBroker | undefined;
let consuming: Connection | undefined;
let proxy: LossyProxy | undefined;
let harness: { close(): Promise<void> } | undefined;
let url = new URL("http://127.0.0.1");
let token = "";

async function call<Body>(method: string, path: string, body?: object): Promise<Body> {
  const response = await fetch(new URL(path, url), {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as Body;
}

/** A real broker, its confirms and its API behind what loses and refuses them. */
async function startBrokerBehindFaults(): Promise<Record<string, string>> {
  broker = await startBroker();
  consuming = await connectTo(broker.url);
  await declareTopology(consuming, fleetTopology);
  for (const [name, queue] of [
    ["amqp", QUEUE_BY_AMQP],
    ["http", QUEUE_BY_HTTP],
  ] as const) {
    await consuming.consume(queue, 100, (message) => {
      const { cloudEvents_source: source, cloudEvents_id: id } = message.properties
        .headers as Record<string, string>;
      const data = JSON.parse(message.bodyToString()!) as object;
      came.get(name)!.push(tryOf({ source, id, data }));
      void message.ack();
    });
  }
  proxy = new LossyProxy(broker.port);
  const port = await proxy.listen();
  api = new FaultySink((path, _, body) => {
    if (!path.endsWith("/publish")) return null;
    const { payload } = JSON.parse(body) as { payload: string };
    return tryOf({ source: "", id: "", data: JSON.parse(payload) as object });
  }, new URL(broker.httpUrl));
  api.fateOf = fateOf;
  const { username, password } = new URL(broker.httpUrl);
  const { host } = new URL(await api.listen());
  return {
    RABBITMQ_URL: broker.url.replace(`:${broker.port}/`, `:${port}/`),
    API_URL: `http://${username}:${password}@${host}/%2F`,
  };
}

function configure(name: string, main: string, more: string): string {
  const configPath = join(folder, `${name}.toml`);
  const alias = join(root, "node_modules/xstate/dist/xstate.esm.js");
  writeFileSync(
    configPath,
    `name = "${name}"
main = "${join(import.meta.dirname, main)}"
compatibility_date = "2026-10-20"
[alias]
xstate = "${alias}"
${more}`,
  );
  return configPath;
}

const classes = Object.entries({
  ...{ INSTANCES: "Instance", TENANTS: "Tenant" },
  ...{ WEBHOOKS: "Webhooks", BROKERS: "Broker" },
});

const senderConfig = `${classes
  .map(
    ([binding, name]) => `[[durable_objects.bindings]]
name = "${binding}"
class_name = "${name}"
`,
  )
  .join("")}[[migrations]]
tag = "v1"
new_sqlite_classes = ["Instance", "Tenant", "Webhooks", "Broker"]
[[queues.producers]]
binding = "OUT"
queue = "out"
[[services]]
binding = "RECEIVER"
service = "contract-receiver"
`;

const receiverConfig = `[[queues.consumers]]
queue = "out"
max_batch_timeout = 0
max_retries = 100
`;

const idOf = (transport: string, index: number) => `${transport}-${index}`;

beforeAll(async () => {
  sink.fateOf = fateOf;
  const origin = await sink.listen();
  const settings = isWithBroker ? await startBrokerBehindFaults() : {};
  Object.assign(process.env, quietly);
  const { createTestHarness } = await import("wrangler");
  const variables = { ...secrets.variables, ...settings, SINK: origin };
  const started = createTestHarness({
    root,
    workers: [
      {
        configPath: configure("contract-sender", "sender.ts", senderConfig),
        secrets: { ...variables, WEBHOOK_LOCAL_TARGETS: origin },
      },
      {
        configPath: configure("contract-receiver", "receiver.ts", receiverConfig),
        secrets: variables,
      },
    ],
  });
  harness = started;
  ({ url } = await started.listen());
  token = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
  for (const lane of [FAULTY, DEAD, WELL]) {
    const request = { url: `${origin}/webhooks/${lane}`, types: [`to.${lane}`] };
    await call("POST", "/webhooks", request);
  }
  // Everything is said at once, by all transports side by side.
  const workflows = [...transports.map(({ name }) => `by-${name}`), "to-instances"];
  await Promise.all(
    workflows.map(async (workflow) => {
      for (let index = 0; index < SENDERS; index++) {
        const id = idOf(workflow, index);
        await call("POST", `/${workflow}`, { id });
        for (let n = 1; n <= MESSAGES; n++) {
          const data = [FAULTY, DEAD, WELL].map((lane) => ({ lane, n }));
          const say = () => call("POST", `/${workflow}/${id}/events`, { type: "SAY", data });
          await (workflow === "by-amqp" && index === 0 && n === 3 ? unconfirmed(say) : say());
        }
      }
    }),
  );
});

/** The broker takes what is said, but its confirms are lost, and the connection with them. */
async function unconfirmed(say: () => Promise<unknown>): Promise<void> {
  const arrived = () => came.get("amqp")!.length;
  await eventually(arrived, (count) => count === 6);
  proxy!.isDeaf = true;
  await say();
  await eventually(arrived, (count) => count > 6);
  proxy!.cut();
  proxy!.isDeaf = false;
}

afterAll(async () => {
  await harness?.close();
  sink.close();
  api?.close();
  proxy?.close();
  await consuming?.close();
  await broker?.remove();
  rmSync(folder, { recursive: true, force: true });
});

/** What has come by a transport, each as often as it came. */
function cameBy(name: string): Try[] {
  const atTheBroker = came.get(name)!;
  const atTheSink = sink.taken.filter(({ path }) => path.startsWith(`/${name}`));
  return [...atTheBroker, ...atTheSink.map(({ attempt }) => attempt)];
}

const what = ({ sender, lane, n }: Try) => `${sender} to ${lane}: ${n}`;
const distinct = (all: Try[]) => new Set(all.map(what)).size;

describe("every transport, over what is really there", () => {
  it.each(transports.filter(({ hasReceivers }) => hasReceivers))(
    "$name: a receiver that hangs or refuses holds up no other",
    async ({ name }) => {
      const others = () => cameBy(name).filter(({ lane }) => lane !== DEAD);
      await expect.poll(() => distinct(others()), patience).toBe(2 * SENDERS * MESSAGES);
      expect(cameBy(name).filter(({ lane }) => lane === DEAD)).toEqual([]);
    },
  );

  it.each(transports)("$name: all comes, at least once, under one id", async (transport) => {
    isDead = false;
    const { name, isInOrder } = transport;
    await expect.poll(() => distinct(cameBy(name)), patience).toBe(3 * SENDERS * MESSAGES);
    const ids = Map.groupBy(cameBy(name), what);
    for (const tries of ids.values()) expect(new Set(tries.map(({ id }) => id)).size).toBe(1);
    const known = cameBy(name).map(({ lane, id }) => `${lane} ${id}`);
    expect(new Set(known).size).toBe(3 * SENDERS * MESSAGES);
    if (!isInOrder) return;
    const destinations = Map.groupBy(cameBy(name), ({ sender, lane }) => `${sender} ${lane}`);
    for (const tries of destinations.values()) {
      expect([...new Set(tries.map(({ n }) => n))]).toEqual([1, 2, 3, 4]);
    }
  });

  it("other instances: all comes, in order, and is applied once", async () => {
    for (let index = 0; index < SENDERS; index++) {
      for (const lane of [FAULTY, DEAD, WELL]) {
        const id = `${idOf("to-instances", index)}-${lane}`;
        await expect
          .poll(async () => (await call<View>("GET", `/receivers/${id}`)).context, patience)
          .toEqual({ got: [1, 2, 3, 4] });
      }
    }
  });

  it("and the faults were there", () => {
    expect([...sink.fates.keys()].toSorted()).toEqual(["forget", "hang", "refuse", "slow", "take"]);
    if (!isWithBroker) return;
    expect(api!.fates.get("forget")).toBeGreaterThan(0);
    expect(cameBy("amqp").length).toBeGreaterThan(distinct(cameBy("amqp")));
  });
});
