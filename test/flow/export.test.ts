import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { quietly, root } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import type { JournalEntry, Transition } from "../../src/index.ts";
import { WebhookSink } from "../support/webhook-sink.ts";

const config = `name = "exporting"
main = "${join(root, "test/support/export-worker.ts")}"
compatibility_date = "2026-10-20"
[alias]
xstate = "${join(root, "node_modules/xstate/dist/xstate.esm.js")}"
[[durable_objects.bindings]]
name = "INSTANCES"
class_name = "Instance"
[[durable_objects.bindings]]
name = "TENANTS"
class_name = "Tenant"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Instance", "Tenant"]
[[queues.producers]]
binding = "TRANSITIONS"
queue = "transitions"
[[queues.consumers]]
queue = "transitions"
max_batch_timeout = 0
`;

it("Every transition comes out of the queue that it was exported to", async () => {
  Object.assign(process.env, quietly);
  const { createTestHarness } = await import("wrangler");
  const folder = mkdtempSync(join(tmpdir(), "durachart-export-"));
  const configPath = join(folder, "wrangler.toml");
  writeFileSync(configPath, config);
  const sink = new WebhookSink();
  const secrets = makeSecrets();
  const variables = { ...secrets.variables, SINK: `${await sink.listen()}/transitions` };
  const harness = createTestHarness({ root, workers: [{ configPath, secrets: variables }] });
  try {
    const { url } = await harness.listen();
    const token = await mintToken(secrets, { subject: "olga", roles: ["operator"] }, "10m");
    const call = async (method: string, path: string, body?: object) => {
      const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
      const init = body === undefined ? {} : { body: JSON.stringify(body) };
      const response = await fetch(new URL(path, url), { method, headers, ...init });
      return (await response.json()) as { entries: JournalEntry[] };
    };
    const ids = ["one", "two", "three"];
    for (const id of ids) {
      await call("POST", "/turnstiles", { id });
      for (const type of ["COIN", "PUSH", "COIN"]) {
        await call("POST", `/turnstiles/${id}/events`, { type });
      }
    }
    const expected: [string, number][] = [];
    for (const id of ids) {
      const { entries } = await call("GET", `/turnstiles/${id}/history`);
      expected.push(...entries.map(({ seq }): [string, number] => [`turnstiles/${id}`, seq]));
    }
    expect(expected).toHaveLength(4 * ids.length);
    const arrived = () =>
      sink.at("/transitions").map(({ body }): [string, number] => {
        const { subject, data } = JSON.parse(body) as Transition;
        return [subject, data.seq];
      });
    await expect
      .poll(() => new Set(arrived().map(String)), { timeout: 20_000 })
      .toEqual(new Set(expected.map(String)));
  } finally {
    await harness.close();
    sink.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
