import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");

describe("npm run demo", () => {
  it("walks all orders, ends by itself, and leaves no process behind", async () => {
    const marker = `DURACHART_DEMO=${crypto.randomUUID()}`;
    const [name = "", value = ""] = marker.split("=");
    const { stdout } = await promisify(execFile)(process.execPath, ["src/cli/demo.ts"], {
      cwd: root,
      env: { ...process.env, [name]: value, NO_COLOR: "1" },
      timeout: 60_000,
    });
    expect(stdout).toMatch(/13 PIZZA_DELIVERED +delivered/);
    expect(stdout).toMatch(/8 CANCEL_ORDER +cancelled/);
    expect(stdout).toMatch(/orders\/demo-2 +order\.cancelled/);
    expect(stdout).toMatch(/\? after decisionTimeout +cancelled +by timer, after 285 min/);
    expect(stdout).toMatch(/chat +1\. customer: It was delicious!/);
    expect(stdout).toMatch(/mailer +carla@example\.test: Your order demo-1 was delivered/);
    expect(stdout).toMatch(/\d+ durachart\.rewound +orderPizza\.choosing/);
    // Every process that it started has inherited the marker.
    const { stdout: left } = await promisify(execFile)("sh", [
      "-c",
      `grep -lz '${marker}' /proc/[0-9]*/environ 2>/dev/null || true`,
    ]);
    expect(left.trim()).toBe("");
  });
});
