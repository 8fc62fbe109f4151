import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  cpSync,
  globSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { configPaths, root } from "../../src/cli/fleet.ts";
import { makeSecrets } from "../../src/cli/secrets.ts";
import { suspectsIn } from "../support/secret-scan.ts";

const folder = mkdtempSync(join(tmpdir(), "durachart-bundles-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What in a bundle looks like a key and is none. */
const known = [
  // jose looks for it in what it is given.
  /^-----BEGIN (PRIVATE) KEY-----$/,
  // A library's alphabet.
  /^0123456789abcdefghijklm/,
];

it("What is deployed holds no secret of the machine that built it", () => {
  const canary = `canary${randomBytes(12).toString("hex")}`;
  const tracked = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" });
  for (const file of tracked.split("\0").filter((file) => file !== "")) {
    cpSync(join(root, file), join(folder, file));
  }
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const names = [
    ...Object.keys(makeSecrets().variables),
    ...["RABBITMQ_URL", "ALERT_SECRET", "CLOUDFLARE_API_TOKEN", "SOMETHING_ELSE"],
  ];
  const secrets = names.map((name) => [name, `${canary}-${name}`] as const);
  const lines = secrets.map(([name, value]) => `${name}=${value}`).join("\n");
  for (const configPath of configPaths) {
    for (const file of [".dev.vars", ".env"]) {
      writeFileSync(join(folder, dirname(configPath), file), lines);
    }
  }
  execFileSync(process.execPath, ["src/cli/deploy.ts", "--dry-run"], {
    cwd: folder,
    env: { ...process.env, ...Object.fromEntries(secrets) },
    stdio: "pipe",
  });
  const files = globSync("dist/*/*.{js,map,wasm}", { cwd: folder });
  expect(new Set(files.map((file) => dirname(file))).size).toBe(configPaths.length);
  for (const file of globSync("dist/**/*", { cwd: folder, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const text = readFileSync(join(file.parentPath, file.name), "utf8");
    expect(text.includes(canary), `${file.parentPath}/${file.name} holds a secret`).toBe(false);
    const suspects = suspectsIn(text).filter(({ text }) => !known.some((one) => one.test(text)));
    expect(suspects, `${file.parentPath}/${file.name}`).toEqual([]);
  }
}, 120_000);
