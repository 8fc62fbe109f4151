import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { configPaths, root } from "../../src/cli/fleet.ts";

const { unstable_readConfig: readConfig } = await import("wrangler");

interface Config {
  name: string;
  workers_dev?: boolean;
  routes?: unknown[];
  services?: { service: string; entrypoint?: string }[];
}

const configs = configPaths.map(
  (path) => readConfig({ config: join(root, path) }, { hideWarnings: true }) as unknown as Config,
);

describe("the doors of the services", () => {
  it("count who comes with a token, each of them", () => {
    const files = globSync("services/**/*.ts", { cwd: root });
    expect(files.length).toBeGreaterThan(80);
    const looking = files.filter((file) =>
      /import [^;]*\bauthenticate\b[^;]* from/.test(readFileSync(join(root, file), "utf8")),
    );
    const signed = files.filter((file) =>
      readFileSync(join(root, file), "utf8").includes("authenticateWebhook("),
    );
    expect(signed).toEqual(["services/station/worker.ts"]);
    // It counts whoever it has found, by whichever way (test/ingress/gateway.test.ts).
    expect(looking).toEqual(["services/gateway/api.ts"]);
  });

  it("are the gateway's alone to the world", () => {
    const open = configs.filter(({ workers_dev: isThere, routes }) => isThere !== false || routes);
    expect(open.map(({ name }) => name)).toEqual(["durachart-gateway"]);
  });

  /** A method believes who calls it to be who they say: it is as safe as the list of those that may. */
  it("are called by whom they are for, and by nobody else", () => {
    const callers: Record<string, string[]> = {};
    for (const { name, services = [] } of configs) {
      for (const { service, entrypoint = "default" } of services) {
        (callers[`${service} ${entrypoint}`] ??= []).push(name);
      }
    }
    const named = (name: string) => `durachart-${name}`;
    const gateway = [named("gateway")];
    expect(callers).toEqual({
      "durachart default": ["gateway", "chat", "support"].map(named),
      "durachart-kitchen default": gateway,
      "durachart-kitchen Jobs": gateway,
      "durachart-delivery default": gateway,
      "durachart-delivery Jobs": gateway,
      "durachart-orderlog default": gateway,
      "durachart-orderlog Log": gateway,
      "durachart-auth Auth": gateway,
      "durachart-auth Keys": [
        ...["chat", "kitchen", "delivery", "orderlog"].map(named),
        "durachart",
      ],
      "durachart-auth Addresses": [named("mailer")],
      "durachart-catalog Catalog": gateway,
      "durachart-catalog StockRoom": ["durachart"],
      "durachart-chat Chat": gateway,
      "durachart-avatars Avatars": gateway,
      "durachart-avatars Drawing": ["durachart"],
      "durachart-mailer Mailbox": gateway,
      "durachart-support Support": gateway,
    });
  });
});
