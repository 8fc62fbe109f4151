import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";

const { LOG, LOG_MIGRATIONS } = env as unknown as {
  LOG: D1Database;
  LOG_MIGRATIONS: import("cloudflare:test").D1Migration[];
};
await applyD1Migrations(LOG, LOG_MIGRATIONS);
