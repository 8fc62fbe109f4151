import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

// The platform refuses it above 100,000 iterations, far fewer than a password needs; the local runtime
// takes any number, so only this would tell before production does.
it("nothing hashes by PBKDF2", () => {
  const files = globSync("{src,services,machines,test,bench}/**/*.ts", { cwd: root });
  const own = "test/repository/passwords.test.ts";
  const found = files.filter(
    (file) => file !== own && /pbkdf2/i.test(readFileSync(join(root, file), "utf8")),
  );
  expect(files.length).toBeGreaterThan(200);
  expect(found).toEqual([]);
});
