import { spawn, type ChildProcess } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { delimiter, join } from "node:path";

const USER = "durachart";

/** Milliseconds until a broker must be there. */
const PATIENCE = 60_000;

/** What one message may have: a Worker holds a hundred of them in its memory. */
const MAX_MESSAGE_BYTES = 1_048_576;

/** Debian keeps the script that needs no root apart from the one on the PATH, which asks for it. */
const DEBIAN = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/** RabbitMQ's start script on this machine, or null where it isn't installed. */
export function findBroker(): string | null {
  const named = process.env["RABBITMQ_SERVER"];
  const onPath = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "rabbitmq-server"));
  const candidates = named === undefined ? [DEBIAN, ...onPath] : [named];
  return candidates.find((path) => existsSync(path)) ?? null;
}

export interface BrokerServerOptions {
  /** Where its data and its password stay. */
  folder: string;
  port: number;
  managementPort: number;
  /** Lines of its configuration beside ours. */
  settings?: Readonly<Record<string, string>>;
}

/**
 * A RabbitMQ of our own, on loopback only: its data in a folder, with its own node name, port mapper and
 * password, so that it meets no other on the machine.
 */
export class BrokerServer {
  readonly #options: BrokerServerOptions;
  readonly #script: string;
  readonly #password: string;
  #broker: ChildProcess | undefined;
  #portMapper: ChildProcess | undefined;

  /** @throws Error where RabbitMQ isn't installed */
  constructor(options: BrokerServerOptions) {
    const script = findBroker();
    if (script === null) {
      throw new Error(
        "RabbitMQ is not installed here. On Debian or Ubuntu: sudo apt-get install -y --no-install-recommends rabbitmq-server; on a Mac: brew install rabbitmq.",
      );
    }
    this.#options = options;
    this.#script = script;
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    const secret = join(options.folder, "password");
    if (!existsSync(secret)) {
      writeFileSync(secret, randomBytes(18).toString("base64url"), { mode: 0o600 });
    }
    this.#password = readFileSync(secret, "utf8").trim();
  }

  /** For RABBITMQ_URL. */
  get url(): string {
    return `amqp://${USER}:${this.#password}@127.0.0.1:${this.#options.port}/%2F`;
  }

  /** For RABBITMQ_HTTP_URL. */
  get httpUrl(): string {
    return `http://${USER}:${this.#password}@127.0.0.1:${this.#options.managementPort}/%2F`;
  }

  /** Resolves when it takes connections. @throws Error with where its log is, where it doesn't come up */
  async start(): Promise<void> {
    const { folder, managementPort, port } = this.#options;
    const [mapperPort, distributionPort] = [await freePort(), await freePort()];
    const settings = {
      "listeners.tcp.local": `127.0.0.1:${port}`,
      "management.tcp.ip": "127.0.0.1",
      "management.tcp.port": managementPort,
      default_user: USER,
      default_pass: this.#password,
      max_message_size: MAX_MESSAGE_BYTES,
      "log.file": "false",
      "log.console": "true",
      "log.console.level": "warning",
      ...this.#options.settings,
    };
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    writeFileSync(join(folder, "rabbitmq.conf"), lines.join(""), { mode: 0o600 });
    writeFileSync(join(folder, "enabled_plugins"), "[rabbitmq_management].\n");
    const env = {
      ...process.env,
      // The cookie goes there.
      HOME: folder,
      ERL_EPMD_ADDRESS: "127.0.0.1",
      ERL_EPMD_PORT: String(mapperPort),
      RABBITMQ_NODENAME: "durachart@localhost",
      RABBITMQ_CONF_ENV_FILE: join(folder, "none"),
      RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
      RABBITMQ_MNESIA_BASE: join(folder, "data"),
      RABBITMQ_LOG_BASE: join(folder, "log"),
      RABBITMQ_PID_FILE: join(folder, "pid"),
      RABBITMQ_DIST_PORT: String(distributionPort),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "-kernel inet_dist_use_interface {127,0,0,1}",
    };
    this.#portMapper = spawn("epmd", ["-port", String(mapperPort), "-address", "127.0.0.1"], {
      env,
      stdio: "ignore",
    });
    this.#portMapper.on("error", () => {});
    const log = openSync(join(folder, "output.log"), "a");
    this.#broker = spawn(this.#script, [], {
      cwd: folder,
      env,
      stdio: ["ignore", log, log],
      detached: true,
    });
    await this.#untilReady(this.#broker);
  }

  async #untilReady(broker: ChildProcess): Promise<void> {
    const deadline = performance.now() + PATIENCE;
    while (broker.exitCode === null && performance.now() < deadline) {
      try {
        // The management comes last.
        if ((await this.api("GET", "/api/overview")).ok) return;
      } catch {
        // Not yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await this.kill();
    throw new Error(`RabbitMQ did not start; see ${join(this.#options.folder, "output.log")}.`);
  }

  /** A call of its management API. */
  api(method: string, path: string, body?: unknown): Promise<Response> {
    const url = new URL(this.httpUrl);
    const { username, password } = url;
    return fetch(new URL(path, url.origin), {
      method,
      headers: {
        Authorization: `Basic ${btoa(`${username}:${password}`)}`,
        "Content-Type": "application/json",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  /** Resolves when it has ended, by whatever. */
  async ended(): Promise<void> {
    if (this.#broker !== undefined && this.#broker.exitCode === null) {
      await once(this.#broker, "exit");
    }
  }

  /** Lets it finish what it is doing. */
  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  /** No handler, no flush, no goodbye. */
  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const broker = this.#broker;
    this.#broker = undefined;
    if (broker?.pid !== undefined && broker.exitCode === null && broker.signalCode === null) {
      const exited = once(broker, "exit");
      // The script would ask the server to stop by a slow way of its own; the server takes the signal.
      if (signal === "SIGTERM") process.kill(this.#serverPid() ?? -broker.pid, signal);
      else process.kill(-broker.pid, signal);
      await exited;
    }
    this.#portMapper?.kill("SIGKILL");
    this.#portMapper = undefined;
  }

  #serverPid(): number | null {
    try {
      return Number(readFileSync(join(this.#options.folder, "pid"), "utf8").trim()) || null;
    } catch {
      return null;
    }
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
