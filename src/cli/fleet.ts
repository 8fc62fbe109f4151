import { join } from "node:path";
import { furnishTheShop } from "./furnish.ts";
import { variablesOf, type Secrets } from "./secrets.ts";

export const root = join(import.meta.dirname, "../..");

/**
 * The shop's Workers by their configuration. The first answers on the port; they are deployed from the last to
 * the first, each after those that it is bound to.
 */
export const configPaths = [
  "services/gateway/wrangler.toml",
  "services/chat/wrangler.toml",
  "services/support/wrangler.toml",
  "services/kitchen/wrangler.toml",
  "services/delivery/wrangler.toml",
  "services/orderlog/wrangler.toml",
  "wrangler.toml",
  "services/catalog/wrangler.toml",
  "services/mailer/wrangler.toml",
  "services/avatars/wrangler.toml",
  "services/auth/wrangler.toml",
];

/** Where it is left out (docs/auth.md) tokens are an outside provider's, as the environment has it. */
export const hasAuthService = configPaths.includes("services/auth/wrangler.toml");

/** The databases that have tables, and whose they are. */
export const databases = [
  { database: "LIST", worker: "durachart", configPath: "wrangler.toml" },
  {
    database: "LOG",
    worker: "durachart-orderlog",
    configPath: "services/orderlog/wrangler.toml",
  },
  {
    database: "CATALOG_DB",
    worker: "durachart-catalog",
    configPath: "services/catalog/wrangler.toml",
  },
  { database: "CHAT_DB", worker: "durachart-chat", configPath: "services/chat/wrangler.toml" },
  {
    database: "MAILS_DB",
    worker: "durachart-mailer",
    configPath: "services/mailer/wrangler.toml",
  },
  { database: "ACCOUNTS", worker: "durachart-auth", configPath: "services/auth/wrangler.toml" },
];

/** Keeps wrangler from asking the network, and from chatting. */
export const quietly = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_LOG: "warn",
};

/** The Workers' own health addresses, by way of the gateway: a call begins what a Worker does by itself. */
const workersThatConsume = ["/healthz", "/kitchen/healthz", "/delivery/healthz"];

/** What the environment says to the Workers: about RabbitMQ, webhooks, the log and an outside provider. */
export function settingsFromEnvironment(): Record<string, string> {
  const names = [
    ...["RABBITMQ_URL", "RABBITMQ_HTTP_URL", "WEBHOOK_LOCAL_TARGETS", "LOG_LEVEL"],
    "ALLOWED_ORIGINS",
    ...(hasAuthService ? [] : Object.keys(process.env).filter((name) => name.startsWith("TOKEN_"))),
  ];
  const set = names.flatMap((name) => {
    const value = process.env[name];
    return value === undefined || value === "" ? [] : [[name, value]];
  });
  return Object.fromEntries(set) as Record<string, string>;
}

/** Has the Workers behind an address begin to consume from RabbitMQ. */
export async function wakeFleet(url: string): Promise<void> {
  for (const path of workersThatConsume) await (await fetch(new URL(path, url))).body?.cancel();
}

/**
 * Starts the whole shop in one local runtime that leaves nothing behind: no files, no processes.
 *
 * @param settings beside the secrets, for all Workers
 * @returns the shop's address, and how to close it
 */
export async function startEphemeralFleet(secrets: Secrets, settings: Record<string, string> = {}) {
  // wrangler reads these when it is loaded.
  Object.assign(process.env, quietly);
  const { createTestHarness } = await import("wrangler");
  const vars = { ...secrets.variables, ...settings };
  const harness = createTestHarness({
    root,
    workers: configPaths.map((configPath) => ({
      configPath,
      secrets: variablesOf(configPath, vars),
    })),
  });
  const { url } = await harness.listen();
  for (const { worker, database } of databases) {
    await harness.getWorker(worker).applyD1Migrations(database);
  }
  if (Object.keys(settings).length > 0) await wakeFleet(url.href);
  await furnishTheShop(url.href, { ...secrets, variables: vars });
  return { url: url.href, harness, close: () => harness.close() };
}
