import { join } from "node:path";
import type { Secrets } from "./secrets.ts";

export const root = join(import.meta.dirname, "../..");

/** The shop's Workers by their configuration; the first answers on the port. */
export const configPaths = [
  "services/gateway/wrangler.toml",
  "wrangler.toml",
  "services/kitchen/wrangler.toml",
  "services/delivery/wrangler.toml",
  "services/orderlog/wrangler.toml",
];

/** The databases that have tables, and whose they are. */
export const databases = [
  { database: "LIST", worker: "durachart", configPath: "wrangler.toml" },
  {
    database: "LOG",
    worker: "durachart-orderlog",
    configPath: "services/orderlog/wrangler.toml",
  },
];

/** Keeps wrangler from asking the network, and from chatting. */
export const quietly = {
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  WRANGLER_LOG: "warn",
};

/**
 * Starts the whole shop in one local runtime that leaves nothing behind: no files, no processes.
 *
 * @returns the shop's address, and how to close it
 */
export async function startEphemeralFleet(secrets: Secrets) {
  // wrangler reads these when it is loaded.
  Object.assign(process.env, quietly);
  const { createTestHarness } = await import("wrangler");
  const vars = secrets.variables;
  const harness = createTestHarness({
    root,
    workers: configPaths.map((configPath) => ({ configPath, secrets: vars })),
  });
  const { url } = await harness.listen();
  for (const { worker, database } of databases) {
    await harness.getWorker(worker).applyD1Migrations(database);
  }
  return { url: url.href, harness, close: () => harness.close() };
}
