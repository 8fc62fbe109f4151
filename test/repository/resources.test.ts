import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configPaths, databases, root } from "../../src/cli/fleet.ts";
import { commandsFor, needsOfAll } from "../../src/cli/resources.ts";

const needs = await needsOfAll();

describe("what the Workers' configurations name", () => {
  it("has a consumer for every queue, the dead letters' among them, and only one", () => {
    const consumed = needs.flatMap(({ consumes }) => consumes);
    expect(new Set(consumed).size).toBe(consumed.length);
    expect([...new Set(needs.flatMap(({ queues }) => queues))].toSorted()).toEqual(
      consumed.toSorted(),
    );
  });

  it("loses no message that was given up: what is consumed has dead letters, but they themselves", () => {
    const buried = new Set(needs.flatMap(({ buries }) => buries));
    const consumed = needs.flatMap(({ consumes }) => consumes);
    const without = consumed.filter((queue) => !buried.has(`${queue}-dead`));
    expect(without.toSorted()).toEqual([...buried].toSorted());
  });

  it("is all of it started locally, with its tables", () => {
    const folders = readdirSync(join(root, "services"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `services/${name}/wrangler.toml`)
      .filter((path) => readdirSync(join(root, path, "..")).includes("wrangler.toml"));
    expect(configPaths.toSorted()).toEqual(["wrangler.toml", ...folders].toSorted());
    const named = needs.flatMap(({ worker, configPath, databases }) =>
      databases.map(({ binding }) => ({ database: binding, worker, configPath })),
    );
    expect(named.toSorted((a, b) => (a.database < b.database ? -1 : 1))).toEqual(
      databases.toSorted((a, b) => (a.database < b.database ? -1 : 1)),
    );
  });

  it("can be deployed in the order in which it is: from the last to the first, each after what it is bound to", () => {
    const there = new Set<string>();
    for (const { worker, boundTo } of needs.toReversed()) {
      expect(
        boundTo.filter((service) => !there.has(service)),
        worker,
      ).toEqual([]);
      there.add(worker);
    }
  });

  it("is told as the commands that make it", () => {
    const commands = commandsFor(needs).flatMap(({ commands }) => commands);
    expect(commands).toContain("npx wrangler queues create durachart-events-dead");
    expect(commands).toContain("npx wrangler r2 bucket create durachart-archive");
    expect(commands).toContain("npx wrangler d1 create durachart-list   # wrangler.toml");
  });
});
