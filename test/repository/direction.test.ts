import { readFileSync } from "node:fs";
import { globSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

/** Which rooms a room may use: ingress → instance → kernel → egress and broadcast; and the list. */
const mayImport: Record<string, string[]> = {
  "src/kernel": [],
  "src/contract": [],
  "src/audit": ["src/contract", "src/kernel"],
  "src/charts": ["src/kernel"],
  "src/secrets": ["src/contract", "src/kernel"],
  "src/versions": ["src/kernel"],
  "src/broadcast": ["src/contract"],
  "src/cloudevents": ["src/contract"],
  "src/egress": ["src/cloudevents", "src/contract", "src/kernel", "src/secrets"],
  "src/instance": [
    ...["src/cloudevents", "src/contract", "src/kernel", "src/egress", "src/broadcast"],
    ...["src/audit", "src/secrets", "src/tenants"],
  ],
  "src/list": ["src/contract"],
  "src/tenants": ["src/contract"],
  "src/dead-letters": ["src/contract"],
  "src/ingress": [
    "src/dead-letters",
    "src/secrets",
    "src/cloudevents",
    "src/contract",
    "src/kernel",
    "src/instance",
    "src/list",
    "src/tenants",
  ],
  "src/webhooks": [
    ...["src/cloudevents", "src/contract", "src/kernel", "src/egress", "src/secrets"],
  ],
  "src/rabbitmq": ["src/cloudevents", "src/contract", "src/egress", "src/ingress"],
  "src/testing": ["src/contract", "src/kernel", "src/instance"],
};

/** Packages that only run on Cloudflare, or bring its types. */
const cloudflare = /^cloudflare:|^@cloudflare\//;

interface Import {
  file: string;
  target: string;
  isType: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const statements = text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+"([^"]+)";/gms);
  return [...statements].map(([, type, target = ""]) => ({
    file,
    target: target.startsWith(".") ? relative(root, join(root, dirname(file), target)) : target,
    isType: type !== undefined,
  }));
}

const files = globSync("{src,machines}/**/*.ts", { cwd: root });
const imports = files.flatMap(importsOf);
const roomOf = (path: string) => path.split("/").slice(0, 2).join("/");

describe("imports", () => {
  it("are found", () => {
    expect(imports.length).toBeGreaterThan(100);
  });

  it("go in one direction", () => {
    const wrong = imports.filter(({ file, target, isType }) => {
      const from = roomOf(file);
      const to = roomOf(target);
      if (!target.startsWith("src/") || from === to || !(from in mayImport)) return false;
      // A type is no dependency: the kernel's types may name the contract's, and the reverse.
      if (isType) return false;
      return !mayImport[from]!.includes(to);
    });
    expect(wrong).toEqual([]);
  });

  it("bring machines nothing of ours but what authors are given", () => {
    const wrong = imports.filter(
      ({ file, target }) => file.startsWith("machines/") && target.startsWith("src/"),
    );
    expect(wrong).toEqual([]);
  });

  it("bring what Node runs nothing of Cloudflare's, however far they lead", () => {
    const reached = new Set(files.filter((file) => file.startsWith("src/cli/")));
    const found: string[] = [];
    for (const from of reached) {
      for (const { file, target, isType } of imports.filter(({ file }) => file === from)) {
        if (isType) continue;
        if (cloudflare.test(target)) found.push(`${file} → ${target}`);
        if (target.startsWith("src/")) reached.add(target);
      }
    }
    expect(reached.size).toBeGreaterThan(30);
    expect(found).toEqual([]);
  });

  it("bring the kernel nothing of Cloudflare's and nothing with I/O", () => {
    const packages = imports.filter(
      ({ file, target }) => file.startsWith("src/kernel/") && !target.startsWith("src/"),
    );
    expect(packages.filter(({ target }) => cloudflare.test(target))).toEqual([]);
    const allowed = new Set(["xstate", "@standard-schema/spec"]);
    expect(packages.filter(({ target }) => !allowed.has(target))).toEqual([]);
  });
});
