import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { createRequire } from "node:module";
import { join } from "node:path";
import { quietly, root } from "../src/cli/fleet.ts";

export const { default: workerdPath } = createRequire(import.meta.url)("workerd") as {
  default: string;
};

/** Bundles a Worker just as a deployment would. */
export function bundle(entry: string, folder: string): string {
  const config = join(folder, "wrangler.toml");
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    config,
    [
      'name = "bench"',
      `main = "${join(root, entry)}"`,
      'compatibility_date = "2026-10-20"',
      "keep_names = false",
      "[alias]",
      `xstate = "${join(root, "node_modules/xstate/dist/xstate.esm.js")}"`,
    ].join("\n"),
  );
  const wrangler = join(root, "node_modules/wrangler/wrangler-dist/cli.js");
  const out = join(folder, "out");
  execFileSync(process.execPath, [wrangler, "deploy", "--dry-run", "-c", config, "--outdir", out], {
    env: { ...process.env, ...quietly },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const name = entry.split("/").at(-1)!.replace(/\.ts$/, ".js");
  return readFileSync(join(out, name), "utf8");
}

export interface ServerOptions {
  folder: string;
  script: string;
  /** The Durable Object's class and the binding it is reached by. */
  className: string;
  binding: string;
  variables: Record<string, string>;
}

/** The runtime itself, without wrangler's proxy: one process, its data in `folder`. */
export async function startServer(options: ServerOptions) {
  const { folder, script, className, binding, variables } = options;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, "data"), { recursive: true });
  writeFileSync(join(folder, "worker.js"), script);
  const port = await freePort();
  // What every Worker of ours is bound to besides.
  const classes = className === "Instance" ? [className, "Tenant"] : [className];
  const tenants = classes.includes("Tenant")
    ? [`(name = "TENANTS", durableObjectNamespace = "Tenant")`]
    : [];
  const texts = Object.entries(variables).map(
    ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`,
  );
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "disk", disk = (path = ${JSON.stringify(join(folder, "data"))}, writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    ${classes.map((name) => `(className = "${name}", uniqueKey = "${name}", enableSql = true)`).join(", ")},
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [(name = "${binding}", durableObjectNamespace = "${className}"), ${[...tenants, ...texts].join(", ")}],
);
`,
  );
  const child = spawn(workerdPath, ["serve", join(folder, "config.capnp")], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  await untilListening(port);
  return {
    port,
    async close() {
      child.kill("SIGKILL");
      await once(child, "exit");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      const response = await fetch(`http://127.0.0.1:${port}/healthz`);
      await response.body?.cancel();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
