import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import colors from "picocolors";
import { configPaths, root } from "./fleet.ts";

/** What of a configuration counts here, as wrangler reads it. */
interface Config {
  name: string;
  queues: {
    producers?: { queue: string }[];
    consumers?: { queue: string; dead_letter_queue?: string }[];
  };
  d1_databases: { binding: string; database_name: string }[];
  r2_buckets: { bucket_name: string }[];
  services?: { service: string }[];
  durable_objects: { bindings: { script_name?: string }[] };
}

/** What a Worker's configuration says it needs of the account. */
interface Needs {
  worker: string;
  configPath: string;
  /** All that are named, and of those which it consumes, and which take what it gives up. */
  queues: string[];
  consumes: string[];
  buries: string[];
  /** The Workers that it is bound to, and those whose objects it calls: they must be there before it. */
  boundTo: string[];
  databases: { binding: string; name: string }[];
  buckets: string[];
}

/** What has to be there before the Workers can be deployed: each as the command that makes it. */
export function commandsFor(needs: readonly Needs[]): { what: string; commands: string[] }[] {
  const once = (names: string[]) => [...new Set(names)].toSorted();
  const queues = once(needs.flatMap(({ queues }) => queues));
  const buckets = once(needs.flatMap(({ buckets }) => buckets));
  const databases = needs.flatMap(({ configPath, databases }) =>
    databases.map((database) => ({ configPath, ...database })),
  );
  return [
    { what: "Queues", commands: queues.map((name) => `npx wrangler queues create ${name}`) },
    { what: "Buckets", commands: buckets.map((name) => `npx wrangler r2 bucket create ${name}`) },
    {
      what: "Databases, whose ids go into the configurations",
      commands: databases.map(
        ({ name, configPath }) => `npx wrangler d1 create ${name}   # ${configPath}`,
      ),
    },
    {
      what: "Their tables, once the ids are there",
      commands: databases.map(
        ({ binding, configPath }) =>
          `npx wrangler d1 migrations apply ${binding} --remote -c ${configPath}`,
      ),
    },
  ];
}

/** As the configurations say it. */
export async function needsOfAll(): Promise<Needs[]> {
  const { unstable_readConfig: readConfig } = await import("wrangler");
  return configPaths.map((configPath) => {
    const config = readConfig(
      { config: join(root, configPath) },
      { hideWarnings: true },
    ) as unknown as Config;
    const { producers = [], consumers = [] } = config.queues;
    const dead = consumers.flatMap(({ dead_letter_queue: dead }) => dead ?? []);
    const consumes = consumers.map(({ queue }) => queue);
    return {
      ...{ worker: config.name, consumes, buries: dead },
      boundTo: [
        ...(config.services ?? []).map(({ service }) => service),
        ...config.durable_objects.bindings.flatMap(({ script_name: script }) => script ?? []),
      ],
      configPath: relative(root, join(root, configPath)),
      queues: [...producers.map(({ queue }) => queue), ...consumes, ...dead],
      databases: config.d1_databases.map(({ binding, database_name: name }) => {
        return { binding, name };
      }),
      buckets: config.r2_buckets.map(({ bucket_name: name }) => name),
    };
  });
}

/** `npm run resources`: what to make in the account before the first deploy. */
async function main(): Promise<void> {
  for (const { what, commands } of commandsFor(await needsOfAll())) {
    console.log(`\n${colors.bold(what)}\n`);
    for (const command of commands) console.log(`  ${command}`);
  }
  console.log();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) await main();
