import { existsSync, readFileSync, statSync } from "node:fs";
import { globSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const text = readFileSync(join(root, "docs/security.md"), "utf8");
const rows = text
  .slice(text.indexOf("| threat"), text.indexOf("## What is not kept"))
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (threat|-)/.test(line))
  .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| | \|$/g, "").trim()));

describe("every threat in docs/security.md", () => {
  it("is there", () => {
    expect(rows.length).toBeGreaterThan(15);
  });

  it.each(rows.map(([threat = "", , tests = ""]) => [threat, tests]))("%s", (threat, tests) => {
    if (threat.includes("console")) return expect(tests).toMatch(/^\|?$/);
    const files = [...tests.matchAll(/`(test\/[^`]+)`([^`]*)/g)];
    expect(files.length).toBeGreaterThan(0);
    for (const [, path = "", rest = ""] of files) {
      expect([path, existsSync(join(root, path))]).toEqual([path, true]);
      const found = statSync(join(root, path)).isDirectory()
        ? globSync(`${path}/**/*.test.ts`, { cwd: root })
        : [path];
      const sources = found.map((file) => readFileSync(join(root, file), "utf8")).join("\n");
      expect(sources).toMatch(/\bit(\.each)?[(<[]/);
      for (const [, title = ""] of rest.matchAll(/"([^"]+)"/g)) {
        expect([title, sources.includes(`"${title}"`)]).toEqual([title, true]);
      }
    }
  });
});
