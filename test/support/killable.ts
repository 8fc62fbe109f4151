import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, freePort, untilListening, workerdPath } from "../../bench/workerd.ts";

/** The product in the bare runtime, on a disk that survives it, with the network of this machine. */
export class Killable {
  readonly #folder = mkdtempSync(join(tmpdir(), "durachart-killable-"));
  #child: ChildProcess | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(variables: Record<string, string>): Promise<void> {
    this.#port = await freePort();
    mkdirSync(join(this.#folder, "data"), { recursive: true });
    writeFileSync(
      join(this.#folder, "worker.js"),
      bundle("test/support/killable-worker.ts", this.#folder),
    );
    writeFileSync(join(this.#folder, "config.capnp"), this.#config(variables));
    await this.restart();
  }

  async restart(): Promise<void> {
    const config = join(this.#folder, "config.capnp");
    this.#child = spawn(workerdPath, ["serve", config], { stdio: "ignore" });
    await untilListening(this.#port);
  }

  /** SIGKILL: no handler, no flush, no goodbye. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #config(variables: Record<string, string>): string {
    const classes = {
      INSTANCES: "Instance",
      TENANTS: "Tenant",
      DESTINATION: "Destination",
      WEBHOOKS: "Webhooks",
    };
    const namespaces = Object.values(classes).map(
      (name) => `(className = "${name}", uniqueKey = "${name}", enableSql = true)`,
    );
    const bindings = [
      ...Object.entries(classes).map(
        ([binding, name]) => `(name = "${binding}", durableObjectNamespace = "${name}")`,
      ),
      ...Object.entries(variables).map(
        ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`,
      ),
    ];
    return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "disk", disk = (path = ${JSON.stringify(join(this.#folder, "data"))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${this.#port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-20",
  compatibilityFlags = ["global_fetch_strictly_public"],
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [${bindings.join(", ")}],
);
`;
  }
}
