import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { chartFiles, drifted, withChart } from "../charts/files.ts";
import { checkedWorkflows } from "./preflight.ts";

const root = join(import.meta.dirname, "../..");
const read = (name: string): string | undefined => {
  const path = join(root, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

const charts = chartFiles(await checkedWorkflows());
const files = new Map([...charts].map(([name, content]) => [join("statecharts", name), content]));
files.set("README.md", withChart(read("README.md") ?? "", charts.get("order.mmd")!));
const stale = drifted(files, read);
const drawn = existsSync(join(root, "statecharts")) ? readdirSync(join(root, "statecharts")) : [];
const orphans = drawn.filter((name) => !charts.has(name)).map((name) => join("statecharts", name));

if (process.argv.includes("--check")) {
  for (const name of stale) {
    console.error(colors.red(`${name} no longer shows the machine: npm run charts`));
  }
  for (const name of orphans) {
    console.error(colors.red(`${name} shows a machine that is gone: npm run charts`));
  }
  process.exitCode = stale.length + orphans.length > 0 ? 1 : 0;
} else {
  mkdirSync(join(root, "statecharts"), { recursive: true });
  for (const name of stale) writeFileSync(join(root, name), files.get(name)!);
  for (const name of orphans) rmSync(join(root, name));
  console.log(stale.length > 0 ? `Wrote ${stale.join(", ")}` : "Every chart is current");
}
