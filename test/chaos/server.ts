import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, untilListening, workerdPath } from "../../bench/workerd.ts";

export interface ServerOptions {
  folder: string;
  script: string;
  sinkPort: number;
  variables: Record<string, string>;
}

/** The real runtime as a process of its own, on a disk that survives it, to be killed and started again. */
export class Server {
  readonly #folder: string;
  #child: ChildProcess | undefined;
  port = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async start({ folder, script, sinkPort, variables }: ServerOptions): Promise<Server> {
    const server = new Server(folder);
    server.port = await freePort();
    mkdirSync(join(folder, "data"), { recursive: true });
    writeFileSync(join(folder, "worker.js"), script);
    writeFileSync(join(folder, "config.capnp"), config(server.port, folder, sinkPort, variables));
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    // Crashes make it talk; what matters is what it has written.
    this.#child = spawn(workerdPath, ["serve", join(this.#folder, "config.capnp")], {
      stdio: ["ignore", "ignore", process.env["DURACHART_CHAOS_LOG"] ? "inherit" : "ignore"],
    });
    await untilListening(this.port);
  }

  /** SIGKILL: no handler, no flush, no goodbye. */
  async kill(): Promise<void> {
    const child = this.#child!;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }
}

function config(
  port: number,
  folder: string,
  sinkPort: number,
  variables: Record<string, string>,
): string {
  const texts = Object.entries(variables).map(
    ([name, value]) => `(name = "${name}", text = ${JSON.stringify(value)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "disk", disk = (path = ${JSON.stringify(join(folder, "data"))}, writable = true)),
    (name = "sink", external = (address = "127.0.0.1:${sinkPort}", http = ())),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-20",
  durableObjectNamespaces = [
    (className = "Instance", uniqueKey = "Instance", enableSql = true),
    (className = "Tenant", uniqueKey = "Tenant", enableSql = true),
    (className = "Destination", uniqueKey = "Destination", enableSql = true),
    (className = "Mail", uniqueKey = "Mail", enableSql = true),
    (className = "Database", uniqueKey = "Database", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [
    (name = "INSTANCES", durableObjectNamespace = "Instance"),
    (name = "TENANTS", durableObjectNamespace = "Tenant"),
    (name = "DESTINATIONS", durableObjectNamespace = "Destination"),
    (name = "MAIL", durableObjectNamespace = "Mail"),
    (name = "DATABASE", durableObjectNamespace = "Database"),
    (name = "SINK", service = "sink"),
    ${texts.join(",\n    ")}
  ],
);
`;
}
