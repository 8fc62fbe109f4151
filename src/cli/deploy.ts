import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import colors from "picocolors";
import { configPaths, quietly, root } from "./fleet.ts";
import { checkedWorkflows } from "./preflight.ts";

/**
 * Deploys every Worker, the gateway last, since it is bound to the others. `--dry-run` only builds
 * them, into `dist/`, with no account and no network.
 */
const isDryRun = process.argv.includes("--dry-run");
const wrangler = join(root, "node_modules", "wrangler", "wrangler-dist", "cli.js");

await checkedWorkflows();
if (!isDryRun) {
  // What instances have begun with must never change: it is locked before it is deployed.
  const release = join(root, "src", "cli", "release.ts");
  const { status } = spawnSync(process.execPath, [release, "--released"], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
for (const configPath of configPaths.toReversed()) {
  const name = dirname(configPath).split("/").at(-1)!.replace(".", "orchestrator");
  console.log(colors.bold(`${isDryRun ? "Building" : "Deploying"} ${name}`));
  const only = isDryRun ? ["--dry-run", "--outdir", join(root, "dist", name)] : [];
  const { status } = spawnSync(process.execPath, [wrangler, "deploy", "-c", configPath, ...only], {
    cwd: root,
    env: isDryRun ? { ...process.env, ...quietly } : process.env,
    stdio: "inherit",
  });
  if (status !== 0) {
    console.error(colors.red(`${configPath} failed; nothing after it was touched.`));
    process.exit(status ?? 1);
  }
}
