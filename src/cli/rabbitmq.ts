import { join } from "node:path";
import { parseArgs } from "node:util";
import colors from "picocolors";
import { Connection } from "../rabbitmq/connection.ts";
import { declareTopology } from "../rabbitmq/declare.ts";
import { endpointOf } from "../rabbitmq/endpoint.ts";
import { forward } from "../rabbitmq/forward.ts";
import { topology } from "../topology.ts";
import { BrokerServer } from "./broker-server.ts";
import { dialFromNode } from "./dial.ts";
import { root } from "./fleet.ts";

const usage = `npm run rabbitmq -- start [--port 5672] [--management-port 15672]
    runs a RabbitMQ on this machine, its data in .rabbitmq/, and declares the topology
npm run rabbitmq -- declare
    declares exchanges and queues in the broker at RABBITMQ_URL; again does no harm
npm run rabbitmq -- forward --queue durachart-events --to https://…/events --tenant TENANT
    posts what the queue at RABBITMQ_URL has to a webhook, signed with RABBITMQ_FORWARD_SECRET (whsec_…)`;

const options = {
  port: { type: "string", default: "5672" },
  "management-port": { type: "string", default: "15672" },
  folder: { type: "string", default: join(root, ".rabbitmq") },
  queue: { type: "string" },
  to: { type: "string" },
  tenant: { type: "string" },
  prefetch: { type: "string", default: "20" },
} as const;

type Values = ReturnType<typeof parse>["values"];

function parse() {
  return parseArgs({ allowPositionals: true, options });
}

async function main(): Promise<void> {
  const { positionals, values } = parse();
  const commands: Record<string, (values: Values) => Promise<void>> = {
    start,
    declare: () => declare(fromEnvironment("RABBITMQ_URL")),
    forward: startForwarding,
  };
  const [command = ""] = positionals;
  if (positionals.length !== 1 || !Object.hasOwn(commands, command)) throw new Error(usage);
  await commands[command]!(values);
}

async function start(values: Values): Promise<void> {
  const broker = new BrokerServer({
    folder: values.folder,
    port: Number(values.port),
    managementPort: Number(values["management-port"]),
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => void broker.stop());
  }
  console.log("RabbitMQ is starting …");
  await broker.start();
  await declare(broker.url);
  console.log(`
${colors.green(colors.bold("RabbitMQ is running"))}  (Ctrl-C stops it; its data stays in ${values.folder})

${colors.dim("# The shop, with kitchen and delivery over RabbitMQ")}
RABBITMQ_URL='${broker.url}' npm run dev

${colors.dim("# Its management, user and password as above")}
http://127.0.0.1:${values["management-port"]}
`);
  await broker.ended();
}

/** @throws Error where something is there that is not as it should be, or can't be declared */
async function declare(url: string): Promise<void> {
  const connection = await Connection.open(endpointOf(url), dialFromNode, "durachart declare");
  const declared = await declareTopology(connection, topology, { look: true });
  await connection.close();
  const said = { made: "made", there: "was there", declared: "bound", failed: "FAILED" };
  for (const { what, outcome, error } of declared) {
    const line = `  ${said[outcome].padEnd(10)} ${what}`;
    console.log(error === undefined ? line : colors.red(`${line}\n    ${error}`));
  }
  const failed = declared.filter(({ outcome }) => outcome === "failed");
  if (failed.length > 0) throw new Error(`${failed.length} of ${declared.length} failed.`);
}

async function startForwarding({ queue, to, tenant, prefetch }: Values): Promise<void> {
  if (queue === undefined || to === undefined || tenant === undefined) throw new Error(usage);
  const { protocol, hostname } = new URL(to);
  const isLocal = /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname);
  if (protocol !== "https:" && !(protocol === "http:" && isLocal)) {
    throw new Error(`--to must be https: ${to}`);
  }
  const secret = fromEnvironment("RABBITMQ_FORWARD_SECRET");
  const forwarding = forward(
    {
      url: fromEnvironment("RABBITMQ_URL"),
      dial: dialFromNode,
      topology,
      queue,
      prefetch: Number(prefetch),
    },
    { to, secret, tenant },
  );
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => void forwarding.close().finally(() => process.exit(0)));
  }
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`Set ${name}.\n\n${usage}`);
  return value;
}

try {
  await main();
} catch (error) {
  console.error(colors.red(error instanceof Error ? error.message : String(error)));
  process.exitCode = 1;
}
