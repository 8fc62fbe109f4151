import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bundle, freePort, workerdPath } from "../../bench/workerd.ts";
import { eventually } from "../support/eventually.ts";

/** The real runtime as a process of its own, its data on a disk that survives it, able to reach a broker. */
export class Runtime {
  readonly #folder = mkdtempSync(join(tmpdir(), "durachart-rabbitmq-"));
  #child: ChildProcess | undefined;
  port = 0;

  static async start(variables: Record<string, string>): Promise<Runtime> {
    const runtime = new Runtime();
    runtime.port = await freePort();
    const folder = runtime.#folder;
    mkdirSync(join(folder, "data"), { recursive: true });
    writeFileSync(join(folder, "worker.js"), bundle("test/rabbitmq/worker.ts", folder));
    writeFileSync(join(folder, "config.capnp"), config(runtime.port, folder, variables));
    await runtime.run();
    return runtime;
  }

  /** Resolves when it takes connections; it isn't asked anything, which would wake it. */
  async run(): Promise<void> {
    this.#child = spawn(workerdPath, ["serve", join(this.#folder, "config.capnp")], {
      stdio: ["ignore", "ignore", process.env["DURACHART_TEST_LOG"] ? "inherit" : "ignore"],
    });
    await untilTaken(this.port);
  }

  /** SIGKILL: no handler, no flush, no goodbye. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function untilTaken(port: number): Promise<void> {
  await eventually(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, "127.0.0.1");
        socket.once("connect", () => resolve(true));
        socket.once("error", () => resolve(false));
        socket.once("connect", () => socket.destroy());
      }),
    (isTaken) => isTaken,
  );
}

function config(port: number, folder: string, variables: Record<string, string>): string {
  const texts = Object.entries(variables).map(
    ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "disk", disk = (path = ${JSON.stringify(join(folder, "data"))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    (className = "Instance", uniqueKey = "Instance", enableSql = true),
    (className = "Tenant", uniqueKey = "Tenant", enableSql = true),
    (className = "Broker", uniqueKey = "Broker", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
    (name = "INSTANCES", durableObjectNamespace = "Instance"),
    (name = "TENANTS", durableObjectNamespace = "Tenant"),
    (name = "BROKERS", durableObjectNamespace = "Broker"),
    ${texts.join(",\n    ")}
  ],
);
`;
}
