import type { Workflows } from "../kernel/workflow.ts";
import { toJson } from "./json.ts";
import { toMermaid } from "./mermaid.ts";

/** The pictures of all machines: file name → content. */
export function chartFiles(workflows: Workflows): Map<string, string> {
  const files = new Map<string, string>();
  for (const entry of Object.values(workflows)) {
    const machine = "machine" in entry ? entry.machine : entry;
    files.set(`${machine.id}.json`, toJson(machine));
    files.set(`${machine.id}.mmd`, toMermaid(machine));
  }
  return files;
}

/** Which pictures differ from what is on disk; `read` answers undefined for a missing file. */
export function drifted(
  files: ReadonlyMap<string, string>,
  read: (name: string) => string | undefined,
): string[] {
  return [...files].filter(([name, content]) => read(name) !== content).map(([name]) => name);
}

/** A document with its Mermaid block showing this chart. */
export function withChart(document: string, mermaid: string): string {
  return document.replace(/```mermaid\n[\s\S]*?```/, () => `\`\`\`mermaid\n${mermaid}\`\`\``);
}
