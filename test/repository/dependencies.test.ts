import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { judge, type AuditReport, type Explained } from "../../src/cli/audit-report.ts";

const root = join(import.meta.dirname, "../..");
const read = <Content>(file: string) =>
  JSON.parse(readFileSync(join(root, file), "utf8")) as Content;

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  allowScripts: Record<string, boolean>;
  scripts: Record<string, string>;
}

interface Locked {
  version?: string;
  integrity?: string;
  resolved?: string;
  hasInstallScript?: boolean;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

const manifest = read<Manifest>("package.json");
const { "": top, ...packages } = read<{ packages: Record<string, Locked> }>(
  "package-lock.json",
).packages;

describe("dependencies", () => {
  const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

  it("are of exact versions, which the lock file has", () => {
    expect(wanted.length).toBeGreaterThan(10);
    for (const [name, version] of wanted) {
      expect(version).toMatch(/^\d+\.\d+\.\d+$/);
      expect(packages[`node_modules/${name}`]).toMatchObject({ version });
    }
    const { dependencies, devDependencies } = manifest;
    expect(top).toMatchObject({ dependencies, devDependencies });
  });

  it("are checked by their hash, and come from the registry", () => {
    const unchecked = Object.entries(packages).filter(
      ([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ""),
    );
    expect(unchecked.map(([path]) => path)).toEqual([]);
    const elsewhere = Object.values(packages).filter(
      ({ resolved = "https://registry.npmjs.org/" }) =>
        !resolved.startsWith("https://registry.npmjs.org/"),
    );
    expect(elsewhere).toEqual([]);
  });

  it.each([
    ...["@cloudflare/workerd-linux-64", "@cloudflare/workerd-linux-arm64"],
    ...["@cloudflare/workerd-darwin-64", "@cloudflare/workerd-darwin-arm64"],
    ...["@cloudflare/workerd-windows-64", "@esbuild/linux-x64", "@esbuild/linux-arm64"],
    ...["@esbuild/darwin-x64", "@esbuild/darwin-arm64", "@esbuild/win32-x64"],
    ...["@oxlint/binding-linux-x64-gnu", "@oxlint/binding-darwin-x64"],
    ...["@oxlint/binding-darwin-arm64", "@oxlint/binding-win32-x64-msvc"],
  ])("have their build for %s", (name) => {
    expect(packages).toHaveProperty([`node_modules/${name}`]);
  });

  it("have all their builds", () => {
    const missing = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter(
        (name) =>
          !(`node_modules/${name}` in packages) && !(`${path}/node_modules/${name}` in packages),
      ),
    );
    expect(missing).toEqual([]);
  });

  it("run scripts when they are installed only where they need to", () => {
    const having = Object.entries(packages)
      .filter(([, { hasInstallScript }]) => hasInstallScript)
      .map(([path]) => path.split("node_modules/").at(-1)!)
      // For a Mac: a file watcher, whose script does nothing on other systems. It stays unallowed.
      .filter((name) => name !== "fsevents");
    expect([...new Set(having)].toSorted()).toEqual(Object.keys(manifest.allowScripts).toSorted());
    expect(Object.values(manifest.allowScripts)).toEqual([true, true, true]);
  });

  it("run none of ours when somebody installs the repository", () => {
    const hooks = new Set(["preinstall", "install", "postinstall", "prepare", "prepublish"]);
    expect(Object.keys(manifest.scripts).filter((name) => hooks.has(name))).toEqual([]);
  });
});

describe("npm run audit", () => {
  const advisory = (id: string, severity = "high") => ({
    ...{ source: 1, name: "left", title: "It falls over", severity },
    url: `https://github.com/advisories/${id}`,
  });
  const report = (...via: (object | string)[]): AuditReport =>
    ({ vulnerabilities: { left: { via }, right: { via: ["left"] } } }) as AuditReport;
  const now = Date.parse("2026-11-22");
  const explained = (more: Partial<Explained> = {}): Record<string, Explained> => ({
    "GHSA-aaaa-bbbb-cccc": { package: "left", reason: "never called", date: "2026-11-01", ...more },
  });

  it("is content with nothing, and with what is explained", () => {
    expect(judge({ vulnerabilities: {} }, {}, now)).toEqual([]);
    expect(judge(report(advisory("GHSA-aaaa-bbbb-cccc")), explained(), now)).toEqual([]);
  });

  it("tells each advisory that isn't explained, once", () => {
    const found = judge(report(advisory("GHSA-x"), advisory("GHSA-x"), "other"), {}, now);
    expect(found).toEqual(["left: It falls over (high), https://github.com/advisories/GHSA-x"]);
  });

  it.each([
    ["is of another package", { package: "right" }],
    ["has no reason", { reason: " " }],
    ["is half a year old", { date: "2026-05-01" }],
    ["is of a day to come", { date: "2027-05-01" }],
    ["has no date", { date: "soon" }],
  ])("takes no explanation that %s", (_, more) => {
    expect(judge(report(advisory("GHSA-aaaa-bbbb-cccc")), explained(more), now)).toHaveLength(1);
  });

  it("says where it can't tell, instead of being content", () => {
    const broken = { error: { code: "EAUDITNOLOCK", summary: "no lock" } };
    expect(() => judge(broken, {}, now)).toThrow("no lock");
    expect(() => judge({} as AuditReport, {}, now)).toThrow("no report");
  });

  it("has explanations that are whole", () => {
    const all = read<Record<string, Explained>>("audit-explained.json");
    for (const [id, { package: name, reason, date }] of Object.entries(all)) {
      const one = report({ ...advisory(id), name });
      expect(judge(one, all, Date.parse(date))).toEqual([]);
      expect(reason.length).toBeGreaterThan(10);
    }
  });
});

it("What a developer's machine keeps secret is never tracked", () => {
  const secret = [".dev.vars", ".durachart/x", "dist/x", ".wrangler/x", "services/auth/.dev.vars"];
  for (const path of secret) {
    // It answers with an error where nothing ignores the path.
    execFileSync("git", ["check-ignore", "-q", path], { cwd: root });
  }
});
