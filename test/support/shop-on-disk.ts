import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { freePort, untilListening } from "../../bench/workerd.ts";
import { quietly, root } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";

const wrangler = join(root, "node_modules/wrangler/wrangler-dist/cli.js");
const database = "00000000-0000-0000-0000-00000000000e";

/** The local runtime on a disk of its own: objects, D1, and a queue between them. */
export class ShopOnDisk {
  readonly folder = mkdtempSync(join(tmpdir(), "durachart-on-disk-"));
  readonly secrets = makeSecrets();
  readonly #worker: string;
  readonly #config = join(this.folder, "wrangler.toml");
  token = "";
  #group: number | undefined;
  #port = 0;

  readonly #more: string;
  readonly #unmigrated: string[];

  /**
   * @param worker its main module, below the repository's root
   * @param config what stands in `wrangler.toml` beside the usual
   * @param databases the bindings of those that have tables
   */
  constructor(worker: string, config = "", databases: readonly string[] = ["LIST"]) {
    this.#worker = worker;
    this.#more = config;
    this.#unmigrated = [...databases];
  }

  /** Where the runtime persists to. */
  get state(): string {
    return join(this.folder, "state");
  }

  /** What the Worker has said. */
  get log(): string {
    return join(this.folder, "said.txt");
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async open(more: Record<string, string> = {}): Promise<void> {
    const variables = Object.entries({ ...this.secrets.variables, ...more });
    writeFileSync(
      this.#config,
      `name = "erased"
main = "${join(root, this.#worker)}"
compatibility_date = "2026-10-20"
[alias]
xstate = "${join(root, "node_modules/xstate/dist/xstate.esm.js")}"
[vars]
${variables.map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join("\n")}
[[durable_objects.bindings]]
name = "INSTANCES"
class_name = "Instance"
[[durable_objects.bindings]]
name = "TENANTS"
class_name = "Tenant"
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Instance", "Tenant"]
[[d1_databases]]
binding = "LIST"
database_name = "erased-list"
database_id = "${database}"
migrations_dir = "${join(root, "migrations/list")}"
[[r2_buckets]]
binding = "ARCHIVE"
bucket_name = "on-disk-archive"
[[queues.producers]]
binding = "LIST_QUEUE"
queue = "erased-list"
[[queues.consumers]]
queue = "erased-list"
max_batch_timeout = 0
${this.#more}`,
    );
    const parameters = ["-c", this.#config, "--persist-to", join(this.folder, "state")];
    // Wrangler's own record of requests and logs is none of ours.
    const environment = { ...process.env, ...quietly, CI: "true", X_LOCAL_OBSERVABILITY: "false" };
    for (const binding of this.#unmigrated.splice(0)) {
      execFileSync(
        process.execPath,
        [wrangler, "d1", "migrations", "apply", binding, "--local", ...parameters],
        { env: environment, stdio: ["ignore", "ignore", "inherit"] },
      );
    }
    this.#port = await freePort();
    const log = openSync(this.log, "a");
    const child = spawn(
      process.execPath,
      [
        ...[wrangler, "dev", "--local", "--port", String(this.#port), "--inspector-port", "0"],
        ...["--show-interactive-dev-session=false", "--log-level", "log", ...parameters],
      ],
      { env: environment, stdio: ["ignore", log, log, "ipc"], detached: true },
    );
    this.#group = child.pid;
    this.#exited = once(child, "exit");
    const isReady = (message: unknown) => JSON.stringify(message).includes("DEV_SERVER_READY");
    while (!isReady((await once(child, "message"))[0]));
    await untilListening(this.#port);
    const caller = { subject: "olga", roles: ["operator"], scopes: ["dead-letters"] };
    this.token = await mintToken(this.secrets, caller, "10m");
  }

  #exited: Promise<unknown> | undefined;

  async call(method: string, path: string, body?: unknown, key?: string) {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(key === undefined ? {} : { "Idempotency-Key": key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  }

  /** With the whole group: wrangler alone would leave the runtime behind. */
  async close(): Promise<void> {
    if (this.#group === undefined) return;
    process.kill(-this.#group, "SIGKILL");
    this.#group = undefined;
    await this.#exited;
  }

  /** Closed for good. */
  async remove(): Promise<void> {
    await this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Writes each database's log into the database, as its next many writes would. */
  checkpoint(): void {
    for (const path of this.#files().filter((one) => one.endsWith(".sqlite"))) {
      const opened = new DatabaseSync(path);
      opened.exec("PRAGMA wal_checkpoint(TRUNCATE)");
      opened.close();
    }
  }

  /** Every row of a database. */
  dump(path: string): string {
    const opened = new DatabaseSync(join(this.folder, "state", path), { readOnly: true });
    const tables = opened.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const rows = tables.map(({ name }) => opened.prepare(`SELECT * FROM "${String(name)}"`).all());
    opened.close();
    return JSON.stringify(rows);
  }

  /** The files that hold a text, whatever kind of file they are. */
  filesWith(text: string | Uint8Array): string[] {
    return this.#files()
      .filter((path) => readFileSync(path).includes(text as string))
      .map((path) => relative(join(this.folder, "state"), path));
  }

  #files(): string[] {
    return readdirSync(join(this.folder, "state"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
  }
}
