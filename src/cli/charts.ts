import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { workflows } from "../../machines/index.ts";
import { chartFiles, drifted } from "../charts/files.ts";

const folder = join(import.meta.dirname, "../../statecharts");
const files = chartFiles(workflows);
const read = (name: string): string | undefined => {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};
const stale = drifted(files, read);

if (process.argv.includes("--check")) {
  for (const name of stale) {
    console.error(colors.red(`statecharts/${name} no longer shows the machine: npm run charts`));
  }
  process.exitCode = stale.length > 0 ? 1 : 0;
} else {
  mkdirSync(folder, { recursive: true });
  for (const name of stale) writeFileSync(join(folder, name), files.get(name)!);
  console.log(
    stale.length > 0 ? `Wrote ${stale.map((name) => `statecharts/${name}`).join(", ")}` : "Current",
  );
}
