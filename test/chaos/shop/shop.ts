import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { freePort } from "../../../bench/workerd.ts";
import { configPaths, databases, quietly, root, wakeFleet } from "../../../src/cli/fleet.ts";
import { writeDevVars } from "../../../src/cli/secrets.ts";
import { copyTheShop } from "../../support/shop-copy.ts";
import { replaceOnce } from "../sabotage.ts";

/** The databases as they begin, by file: made once, since that takes as long as the whole shop's start. */
let tables: ReadonlyMap<string, Buffer> | undefined;

/** A line of the shop's own source, and what stands there instead. */
export interface Alteration {
  file: string;
  find: RegExp;
  put: string;
}

export interface ShopOptions {
  variables: Record<string, string>;
  alterations: readonly Alteration[];
  /** The configurations that each process runs, by its name; the first one answers. By default one runs all. */
  processes?: Readonly<Record<string, readonly string[]>>;
  /** Changes the copy of the source before anything runs. */
  prepare?: (folder: string) => void;
}

const wrangler = join(root, "node_modules/wrangler/wrangler-dist/cli.js");

/**
 * The whole shop, all its Workers with the local runtime's own queues and databases, from a copy of its
 * source, as groups of processes that can be killed and started again on the same data.
 */
export class Shop {
  readonly #folder = mkdtempSync(join(tmpdir(), "durachart-shop-"));
  readonly #environment = {
    ...process.env,
    ...quietly,
    CI: "true",
    X_LOCAL_OBSERVABILITY: "false",
  };
  readonly #processes: Readonly<Record<string, readonly string[]>>;
  readonly #children = new Map<string, ChildProcess>();
  #port = 0;

  private constructor(processes: Readonly<Record<string, readonly string[]>>) {
    this.#processes = processes;
  }

  /** @throws Error where an alteration's line isn't there exactly once */
  static async start({
    variables,
    alterations,
    processes = { shop: configPaths },
    prepare,
  }: ShopOptions): Promise<Shop> {
    const shop = new Shop(processes);
    const folder = shop.#folder;
    copyTheShop(folder);
    for (const { file, find, put } of alterations) {
      const path = join(folder, file);
      writeFileSync(path, replaceOnce(readFileSync(path, "utf8"), find, put));
    }
    prepare?.(folder);
    writeDevVars(folder, Object.values(processes).flat(), variables);
    try {
      tables ??= await shop.#makeTables();
      for (const name of Object.keys(processes)) {
        for (const [file, bytes] of tables) {
          mkdirSync(dirname(join(shop.#state(name), file)), { recursive: true });
          writeFileSync(join(shop.#state(name), file), bytes);
        }
      }
      shop.#port = await freePort();
      await shop.restart();
      return shop;
    } catch (error) {
      await shop.remove();
      throw error;
    }
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Each process has its own: two on one folder would stand in each other's way. */
  #state(name = this.#first): string {
    return join(this.#folder, `state-${name}`);
  }

  get #registry(): string {
    return join(this.#folder, "registry");
  }

  get #first(): string {
    return Object.keys(this.#processes)[0]!;
  }

  /** Where a Worker's Durable Objects of one class keep their databases. */
  objects(worker: string, className: string): string {
    return join(this.#state(), "v3/do", `${worker}-${className}`);
  }

  /** Starts those that don't run; or one of them. */
  async restart(only?: string): Promise<void> {
    const names = only === undefined ? Object.keys(this.#processes) : [only];
    await Promise.all(names.map((name) => this.#start(name)));
    await wakeFleet(this.url);
  }

  async #start(name: string): Promise<void> {
    if (this.#children.has(name)) return;
    const configs = this.#processes[name]!;
    // Who was killed couldn't take its leave of the others: for 90 seconds nobody could take its place.
    for (const config of configs) {
      const [, worker] = /^name = "(.*)"$/m.exec(readFileSync(join(this.#folder, config), "utf8"))!;
      rmSync(join(this.#registry, worker!), { force: true });
    }
    const isLogged = process.env["DURACHART_CHAOS_LOG"] !== undefined;
    const port = name === this.#first ? this.#port : await freePort();
    const child = spawn(
      process.execPath,
      [
        ...[wrangler, "dev", ...configs.flatMap((path) => ["-c", path])],
        ...["--local", "--port", String(port), "--inspector-port", "0"],
        ...["--persist-to", this.#state(name), "--show-interactive-dev-session=false"],
        ...["--log-level", isLogged ? "warn" : "none"],
      ],
      {
        cwd: this.#folder,
        // By it the processes find each other.
        env: { ...this.#environment, WRANGLER_REGISTRY_PATH: this.#registry },
        stdio: ["ignore", isLogged ? "inherit" : "ignore", isLogged ? "inherit" : "ignore", "ipc"],
        // A group of its own: wrangler's children would outlive it.
        detached: true,
      },
    );
    this.#children.set(name, child);
    const isReady = (message: unknown) => JSON.stringify(message).includes("DEV_SERVER_READY");
    const exited = once(child, "exit").then(([code]) => {
      throw new Error(`${name} ended with ${String(code)} before it was open.`);
    });
    exited.catch(() => {});
    while (!isReady((await Promise.race([once(child, "message"), exited]))[0]));
  }

  /** SIGKILL for all of it, or for one of its processes: no handler, no flush, no goodbye. */
  async kill(only?: string): Promise<void> {
    const names = only === undefined ? [...this.#children.keys()] : [only];
    await Promise.all(
      names.map(async (name) => {
        const child = this.#children.get(name);
        if (child?.pid === undefined) return;
        this.#children.delete(name);
        const exited = once(child, "exit");
        process.kill(-child.pid, "SIGKILL");
        await exited;
      }),
    );
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #makeTables(): Promise<ReadonlyMap<string, Buffer>> {
    // One after the other: wrangler keeps what it is doing in the folder that it runs in.
    for (const { database, configPath } of databases) {
      const parameters = ["d1", "migrations", "apply", database, "--local", "-c", configPath];
      const child = spawn(
        process.execPath,
        [wrangler, ...parameters, "--persist-to", this.#state()],
        { cwd: this.#folder, env: this.#environment, stdio: "ignore" },
      );
      const [code] = (await once(child, "exit")) as [number | null];
      if (code !== 0) throw new Error(`The tables of ${database} could not be made.`);
    }
    const files = readdirSync(this.#state(), { recursive: true, withFileTypes: true });
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name));
    return new Map(paths.map((path) => [relative(this.#state(), path), readFileSync(path)]));
  }
}
