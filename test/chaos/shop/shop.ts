import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { freePort } from "../../../bench/workerd.ts";
import { configPaths, databases, quietly, root, wakeFleet } from "../../../src/cli/fleet.ts";
import { writeDevVars } from "../../../src/cli/secrets.ts";
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
}

const wrangler = join(root, "node_modules/wrangler/wrangler-dist/cli.js");

/** What the shop is made of; its packages are linked. */
const parts = ["src", "machines", "services", "migrations", "wrangler.toml", "package.json"];

/**
 * The whole shop, five Workers with the local runtime's own queues and databases, from a copy of its
 * source, as a group of processes that can be killed and started again on the same data.
 */
export class Shop {
  readonly #folder = mkdtempSync(join(tmpdir(), "durachart-shop-"));
  readonly #environment = {
    ...process.env,
    ...quietly,
    CI: "true",
    X_LOCAL_OBSERVABILITY: "false",
  };
  #child: ChildProcess | undefined;
  #port = 0;

  /** @throws Error where an alteration's line isn't there exactly once */
  static async start({ variables, alterations }: ShopOptions): Promise<Shop> {
    const shop = new Shop();
    const folder = shop.#folder;
    for (const part of parts) cpSync(join(root, part), join(folder, part), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    for (const { file, find, put } of alterations) {
      const path = join(folder, file);
      writeFileSync(path, replaceOnce(readFileSync(path, "utf8"), find, put));
    }
    writeDevVars(folder, configPaths, variables);
    try {
      tables ??= await shop.#makeTables();
      for (const [file, bytes] of tables) {
        mkdirSync(dirname(join(shop.#state, file)), { recursive: true });
        writeFileSync(join(shop.#state, file), bytes);
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

  get #state(): string {
    return join(this.#folder, "state");
  }

  /** Where a Worker's Durable Objects of one class keep their databases. */
  objects(worker: string, className: string): string {
    return join(this.#state, "v3/do", `${worker}-${className}`);
  }

  async restart(): Promise<void> {
    const isLogged = process.env["DURACHART_CHAOS_LOG"] !== undefined;
    const child = spawn(
      process.execPath,
      [
        ...[wrangler, "dev", ...configPaths.flatMap((path) => ["-c", path])],
        ...["--local", "--port", String(this.#port), "--inspector-port", "0"],
        ...["--persist-to", this.#state, "--show-interactive-dev-session=false"],
        ...["--log-level", isLogged ? "warn" : "none"],
      ],
      {
        cwd: this.#folder,
        env: this.#environment,
        stdio: ["ignore", isLogged ? "inherit" : "ignore", isLogged ? "inherit" : "ignore", "ipc"],
        // A group of its own: wrangler's children would outlive it.
        detached: true,
      },
    );
    this.#child = child;
    const isReady = (message: unknown) => JSON.stringify(message).includes("DEV_SERVER_READY");
    const exited = once(child, "exit").then(([code]) => {
      throw new Error(`The shop ended with ${String(code)} before it was open.`);
    });
    exited.catch(() => {});
    while (!isReady((await Promise.race([once(child, "message"), exited]))[0]));
    await wakeFleet(this.url);
  }

  /** SIGKILL for all of it: no handler, no flush, no goodbye. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    this.#child = undefined;
    const exited = once(child, "exit");
    process.kill(-child.pid, "SIGKILL");
    await exited;
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
        [wrangler, ...parameters, "--persist-to", this.#state],
        { cwd: this.#folder, env: this.#environment, stdio: "ignore" },
      );
      const [code] = (await once(child, "exit")) as [number | null];
      if (code !== 0) throw new Error(`The tables of ${database} could not be made.`);
    }
    const files = readdirSync(this.#state, { recursive: true, withFileTypes: true });
    const paths = files
      .filter((file) => file.isFile())
      .map((file) => join(file.parentPath, file.name));
    return new Map(paths.map((path) => [relative(this.#state, path), readFileSync(path)]));
  }
}
