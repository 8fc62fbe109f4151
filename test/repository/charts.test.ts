import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createMachine, type AnyStateMachine } from "xstate";
import { describe, expect, it } from "vitest";
import { workflows } from "../../machines/index.ts";
import { orderMachine } from "../../machines/order/machine.ts";
import { chartFiles, drifted } from "../../src/charts/files.ts";
import { allNodes } from "../../src/kernel/allowed.ts";

const folder = join(import.meta.dirname, "../../statecharts");
const read = (name: string) => {
  const path = join(folder, name);
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
};

/** The order's machine with its configuration, or its delays, altered. */
function altered(edit: (config: string) => string, delays: Record<string, number> = {}) {
  const edited = edit(JSON.stringify(orderMachine.config));
  const machine = createMachine(JSON.parse(edited) as never) as unknown as AnyStateMachine;
  return {
    orders: machine.provide({ delays: { ...orderMachine.implementations.delays, ...delays } }),
  };
}

describe("the pictures in statecharts/", () => {
  it("show the machines as they are", () => {
    expect(drifted(chartFiles(workflows), read)).toEqual([]);
  });

  it.each([
    ["a guard's name", altered((config) => config.replace('"isNewItem"', '"isFreshItem"'))],
    [
      "an edge",
      altered((config) =>
        config.replace('"PIZZA_DELIVERED":"delivered"', '"PIZZA_DELIVERED":"cancelled"'),
      ),
    ],
    ["a delay's name", altered((config) => config.replace('"kitchenTimeout"', '"ovenTimeout"'))],
    ["a delay's length", altered((config) => config, { kitchenTimeout: 46 * 60_000 })],
  ])("turn stale with %s", (_, changed) => {
    expect(drifted(chartFiles(changed), read)).not.toEqual([]);
  });

  it("show the order in the README as well", () => {
    const readme = readFileSync(join(folder, "../README.md"), "utf8");
    expect(readme).toContain(`\`\`\`mermaid\n${read("order.mmd")}\`\`\``);
  });

  it("turn stale only with a change", () => {
    const json = chartFiles(altered((config) => config)).get("order.json");
    expect(json).toBe(read("order.json"));
  });

  it("import with an identical structure", () => {
    const imported = createMachine(JSON.parse(read("order.json")!) as never);
    const structure = (machine: { root: typeof orderMachine.root }) =>
      allNodes(machine.root).map((node) => ({
        id: node.id,
        type: node.type,
        meta: node.meta as unknown,
        entry: node.entry.length,
        exit: node.exit.length,
        invoke: node.invoke.map(({ id, src }) => [id, src]),
        transitions: JSON.stringify([...node.transitions.values()]),
        initial: node.initial?.target.map((target) => target.id),
      }));
    expect(structure(imported as never)).toEqual(structure(orderMachine as never));
  });
});
