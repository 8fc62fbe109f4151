import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { describe, expect, it, vi } from "vitest";
import lock from "../../machines/versions.lock.json" with { type: "json" };
import { registerWorkflows } from "../../src/kernel/registration.ts";
import type { WorkflowDefinition } from "../../src/kernel/workflow.ts";
import { workflows } from "../../machines/index.ts";
import { look, make, recordings, run, type Recording } from "./golden.ts";
import { workflowOf } from "./stories.ts";

const registered = registerWorkflows(workflows);
const read = (name: string) =>
  JSON.parse(gunzipSync(readFileSync(join(recordings, name))).toString()) as Recording;
const all = readdirSync(recordings)
  .filter((name) => name.endsWith(".json.gz"))
  .map((name) => ({ name, recording: read(name) }))
  .filter(({ recording }) => registered.get(recording.workflow)?.versions.has(recording.version));

/** The version that was recorded, as it is deployed today: alone, so that instances begin with it. */
function versionOf({ workflow, version }: Recording): WorkflowDefinition {
  const { versions = [], ...newest } = workflowOf(workflow);
  const found = [newest, ...versions].find((one) => (one.machine.version ?? "1") === version);
  return found!;
}

describe("every released version", () => {
  const released = Object.entries(lock).flatMap(([key, versions]) =>
    Object.keys(versions).map((version) => ({ key, version })),
  );

  it.each(released)("is recorded: $key $version", ({ key, version }) => {
    const found = all.filter(
      ({ recording }) => recording.workflow === key && recording.version === version,
    );
    expect(
      found.length,
      "add stories to test/golden/stories.ts, and npm run golden",
    ).toBeGreaterThan(2);
  });
});

describe.each(all)("$name", ({ recording }) => {
  it("is lived again as it was: the same states, timers and messages", async () => {
    vi.spyOn(console, "warn").mockReturnValue();
    const { order } = run(versionOf(recording), recording.answers);
    for (const [index, move] of recording.moves.entries()) {
      await make(order, move);
      expect(await look(order), `move ${index}`).toMatchObject(recording.after[index]!.seen);
    }
  });

  it("goes on from what was stored then, at any of its moments", async () => {
    vi.spyOn(console, "warn").mockReturnValue();
    const { order: again, tries } = run(versionOf(recording), recording.answers);
    for (const [index, move] of recording.moves.slice(0, -1).entries()) {
      await make(again, move);
      const { seen, ...from } = recording.after[index]!;
      const { order } = run(versionOf(recording), recording.answers, {
        ...from,
        tries: { ...tries },
      });
      const { sent } = seen;
      expect(await look(order, sent), `after move ${index}`).toMatchObject(seen);
      await make(order, recording.moves[index + 1]!);
      const next = recording.after[index + 1]!.seen;
      expect(await look(order, sent), `from move ${index} on`).toMatchObject(next);
    }
  });
});
