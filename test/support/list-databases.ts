import { applyD1Migrations } from "cloudflare:test";
import { env } from "cloudflare:workers";

// Each test file has databases of its own.
await applyD1Migrations(env.LIST, env.LIST_MIGRATIONS);
await applyD1Migrations(env.OTHER_LIST, env.LIST_MIGRATIONS);
