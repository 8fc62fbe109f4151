import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { configPaths, root } from "../../../src/cli/fleet.ts";

/** Workers that a queue brings something, and which. */
const consumers = {
  KITCHEN: { service: "kitchen", queue: "kitchen" },
  DELIVERY: { service: "delivery", queue: "delivery" },
  ORDERLOG: { service: "orderlog", queue: "orderlog" },
  MAILS: { service: "mailer", queue: "mails" },
} as const;

const relay = "services/relay/wrangler.toml";
const own = ["services/gateway/wrangler.toml", "wrangler.toml"];
/** The neighbours: each in a process of its own, so that each can be killed by itself. */
export const neighbours = configPaths
  .filter((path) => !own.includes(path))
  .map((path) => dirname(path).split("/").at(-1)!);

/** The gateway and the orchestrator in one process, with the queues; every neighbour in one of its own. */
export const processes: Readonly<Record<string, readonly string[]>> = {
  shop: [...own, relay],
  ...Object.fromEntries(neighbours.map((name) => [name, [`services/${name}/wrangler.toml`]])),
};

/** Has the queues end at the relay, which brings what is in them to the consumers in their processes. */
export function relayQueues(folder: string): void {
  mkdirSync(join(folder, dirname(relay)), { recursive: true });
  for (const file of ["relay.ts", "taking.ts"]) {
    copyFileSync(join(root, "test/chaos/apart", file), join(folder, dirname(relay), file));
  }
  for (const { service } of Object.values(consumers)) {
    const config = join(folder, `services/${service}/wrangler.toml`);
    const text = readFileSync(config, "utf8");
    const [head, ...blocks] = text.split(/^(?=\[)/m);
    const left = blocks.filter((block) => !block.startsWith("[[queues.consumers]]"));
    if (left.length === blocks.length) throw new Error(`${service} consumes nothing.`);
    const main = head!.replace('main = "worker.ts"', 'main = "apart.ts"');
    writeFileSync(config, [main, ...left].join(""));
    writeFileSync(
      join(folder, `services/${service}/apart.ts`),
      `import worker from "./worker.ts";
import { takerFor } from "../relay/taking.ts";
export * from "./worker.ts";
export default worker;
export const Taker = takerFor(worker as never);
`,
    );
  }
  const bindings = Object.entries(consumers).map(
    ([binding, { service }]) =>
      `[[services]]\nbinding = "${binding}"\nservice = "durachart-${service}"\nentrypoint = "Taker"\n`,
  );
  const queues = Object.values(consumers).map(
    ({ queue }) =>
      `[[queues.consumers]]\nqueue = "${queue}"\nmax_batch_size = 10\nmax_batch_timeout = 0\nmax_retries = 100\nretry_delay = 1\n`,
  );
  writeFileSync(
    join(folder, relay),
    `name = "relay"\nmain = "relay.ts"\ncompatibility_date = "2026-10-20"\n${[...bindings, ...queues].join("\n")}`,
  );
}
