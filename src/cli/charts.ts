import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { workflows } from "../../machines/index.ts";
import { chartFiles, drifted, withChart } from "../charts/files.ts";

const root = join(import.meta.dirname, "../..");
const read = (name: string): string | undefined => {
  const path = join(root, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

const charts = chartFiles(workflows);
const files = new Map([...charts].map(([name, content]) => [join("statecharts", name), content]));
files.set("README.md", withChart(read("README.md") ?? "", charts.get("order.mmd")!));
const stale = drifted(files, read);

if (process.argv.includes("--check")) {
  for (const name of stale) {
    console.error(colors.red(`${name} no longer shows the machine: npm run charts`));
  }
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(join(root, "statecharts"), { recursive: true });
  for (const name of stale) writeFileSync(join(root, name), files.get(name)!);
  console.log(stale.length > 0 ? `Wrote ${stale.join(", ")}` : "Every chart is current");
}
