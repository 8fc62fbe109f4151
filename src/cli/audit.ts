import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { judge, type AuditReport, type Explained } from "./audit-report.ts";
import { root } from "./fleet.ts";

/**
 * Known vulnerabilities of what is deployed, and of what it is built and tested with. Where the registry
 * doesn't answer nothing is known: it says so, and fails only with `--must-answer`.
 */
const explained = JSON.parse(readFileSync(join(root, "audit-explained.json"), "utf8")) as Record<
  string,
  Explained
>;
const mustAnswer = process.argv.includes("--must-answer");

for (const [what, flags] of [
  ["what is deployed", ["--omit=dev"]],
  ["all dependencies", []],
] as const) {
  const { stdout } = spawnSync("npm", ["audit", "--json", ...flags], {
    cwd: root,
    encoding: "utf8",
    // npm is a script there.
    shell: process.platform === "win32",
  });
  try {
    const open = judge(JSON.parse(stdout || "{}") as AuditReport, explained, Date.now());
    if (open.length === 0) {
      console.log(`${what}: nothing known that isn't explained in audit-explained.json`);
      continue;
    }
    console.error(colors.red(`${what}: mend these, or explain them in audit-explained.json:`));
    for (const line of open) console.error(`  ${line}`);
    process.exitCode = 1;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    console.warn(colors.yellow(`${what}: left out, the registry gives no answer (${why})`));
    if (mustAnswer) process.exitCode = 1;
  }
}
