import { cpSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../src/cli/fleet.ts";

/** What the shop is made of. */
const parts = ["src", "machines", "services", "migrations", "wrangler.toml", "package.json"];

/** The shop's source, to be altered and run elsewhere; its packages are linked. */
export function copyTheShop(folder: string): void {
  for (const part of parts) cpSync(join(root, part), join(folder, part), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
}
