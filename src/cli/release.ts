import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import colors from "picocolors";
import { registerWorkflows } from "../kernel/registration.ts";
import { complaints, unreleased, withReleased, type VersionsLock } from "../versions/lock.ts";
import { checkedWorkflows } from "./preflight.ts";

/**
 * `npm run release` locks the machines' present versions: from then on instances may run them, and they
 * must not change. `--check` says what has; `--released` demands besides that nothing is unreleased;
 * `--retire <workflow> <version>` gives a version up that no instance has any more.
 */
const path = join(import.meta.dirname, "../../machines/versions.lock.json");
const lock = (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {}) as VersionsLock;
const workflows = registerWorkflows(await checkedWorkflows());
const [first, second, third] = process.argv.slice(2);

const wrong = complaints(workflows, lock);
if (first === "--released") {
  for (const one of unreleased(workflows, lock)) {
    wrong.push(`${one} was not released yet: npm run release, and commit the lock file.`);
  }
}
if (first === "--retire") retire(second, third);
else if (wrong.length > 0) fail(wrong);
else if (first === undefined) {
  const next = withReleased(workflows, lock);
  const fresh = unreleased(workflows, lock);
  if (fresh.length > 0) write(next);
  console.log(
    fresh.length > 0
      ? `Released ${fresh.join(", ")}. Now record how they live: npm run golden`
      : "Everything is released",
  );
}

function retire(key: string | undefined, version: string | undefined): void {
  const locked = lock[key ?? ""]?.[version ?? ""];
  if (locked === undefined)
    return fail([`There is no version ${version} of "${key}" in the lock.`]);
  if (workflows.get(key!)?.versions.has(version!) === true) {
    return fail([`Version ${version} of "${key}" is still in the bundle: remove it there first.`]);
  }
  locked.retired = true;
  write(lock);
  console.log(`Retired ${key} ${version}`);
}

function write(next: VersionsLock): void {
  writeFileSync(path, `${JSON.stringify(next, null, 2)}\n`);
}

function fail(reasons: string[]): void {
  for (const reason of reasons) console.error(colors.red(reason));
  process.exitCode = 1;
}
