import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, it } from "vitest";
import { freePort, untilListening } from "../../bench/workerd.ts";
import { quietly, root } from "../../src/cli/fleet.ts";
import { makeSecrets, mintToken } from "../../src/cli/secrets.ts";
import { sing } from "../support/canary.ts";

const wrangler = join(root, "node_modules/wrangler/wrangler-dist/cli.js");
const database = "00000000-0000-0000-0000-00000000000e";

/** The local runtime on a disk of its own: objects, D1, and a queue between them. */
class Shop {
  readonly folder = mkdtempSync(join(tmpdir(), "durachart-erased-"));
  readonly #secrets = makeSecrets();
  readonly #config = join(this.folder, "wrangler.toml");
  #token = "";
  #group: number | undefined;
  #port = 0;

  async open(more: Record<string, string> = {}): Promise<void> {
    const variables = Object.entries({ ...this.#secrets.variables, ...more });
    writeFileSync(
      this.#config,
      `name = "erased"
main = "${join(root, "test/support/erased-worker.ts")}"
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
[[queues.producers]]
binding = "LIST_QUEUE"
queue = "erased-list"
[[queues.consumers]]
queue = "erased-list"
max_batch_timeout = 0
`,
    );
    const parameters = ["-c", this.#config, "--persist-to", join(this.folder, "state")];
    // Wrangler's own record of requests and logs is none of ours.
    const environment = { ...process.env, ...quietly, CI: "true", X_LOCAL_OBSERVABILITY: "false" };
    execFileSync(
      process.execPath,
      [wrangler, "d1", "migrations", "apply", "LIST", "--local", ...parameters],
      { env: environment, stdio: ["ignore", "ignore", "inherit"] },
    );
    this.#port = await freePort();
    const child = spawn(
      process.execPath,
      [
        ...[wrangler, "dev", "--local", "--port", String(this.#port), "--inspector-port", "0"],
        ...["--show-interactive-dev-session=false", "--log-level", "none", ...parameters],
      ],
      { env: environment, stdio: ["ignore", "ignore", "ignore", "ipc"], detached: true },
    );
    this.#group = child.pid;
    this.#exited = once(child, "exit");
    const isReady = (message: unknown) => JSON.stringify(message).includes("DEV_SERVER_READY");
    while (!isReady((await once(child, "message"))[0]));
    await untilListening(this.#port);
    const caller = { subject: "olga", roles: ["operator"] };
    this.#token = await mintToken(this.#secrets, caller, "10m");
  }

  #exited: Promise<unknown> | undefined;

  async call(method: string, path: string, body?: unknown, key?: string) {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: {
        Authorization: `Bearer ${this.#token}`,
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
  filesWith(text: string): string[] {
    return this.#files()
      .filter((path) => readFileSync(path).includes(text))
      .map((path) => relative(join(this.folder, "state"), path));
  }

  #files(): string[] {
    return readdirSync(join(this.folder, "state"), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name));
  }
}

let shop: Shop | undefined;

afterEach(async () => {
  await shop?.close();
  if (shop !== undefined) rmSync(shop.folder, { recursive: true, force: true });
});

async function until(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error("It never came");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("what was erased", () => {
  it("is in no file of the object's any more, and in no row of the list's", async () => {
    shop = new Shop();
    const text = `canary-${crypto.randomUUID()}`;
    await shop.open();
    const running = shop;
    const id = "o-1";
    await running.call("POST", "/canaries", { id, input: { text } });
    await sing(
      (path, body, key) => running.call("POST", `/canaries/${id}${path}`, body, key),
      text,
    );
    const listed = async () => (await running.call("GET", "/canaries?limit=10")).text;
    await until(async () => (await listed()).includes('"status":"stopped"'));
    const before = running.filesWith(text);
    expect(before.filter((path) => path.startsWith("v3/do/"))).not.toEqual([]);
    expect(before.filter((path) => path.startsWith("v3/d1/"))).not.toEqual([]);

    const erased = await running.call("POST", `/canaries/${id}/erase`, { force: true });
    expect(erased).toMatchObject({ status: 200 });
    expect((await running.call("GET", `/canaries/${id}`)).status).toBe(410);
    await until(async () => !(await listed()).includes(id));
    await running.close();
    running.checkpoint();
    const isList = (path: string): boolean => path.startsWith("v3/d1/");
    expect(running.filesWith(text).filter((path) => !isList(path))).toEqual([]);
    // SQLite's own free space may hold what D1's rows no longer do; no statement reads it.
    const [list] = before.filter(isList).map((path) => path.replace(/-wal$/, ""));
    expect(running.dump(list!)).toContain('"status":"erased"');
    expect(running.dump(list!)).not.toContain(text);
  });

  it("stays erased though the process is killed with its answer, and the list learns of it by itself", async () => {
    shop = new Shop();
    const running = shop;
    await running.open({ HOLD: "yes" });
    const ids = ["a", "b", "c", "d"];
    for (const id of ids) {
      await running.call("POST", "/canaries", { id, input: { text: id } });
      await running.call("POST", `/canaries/${id}/terminate`);
    }
    const listed = async () => {
      const { text } = await running.call("GET", "/canaries?limit=10");
      const { instances } = JSON.parse(text) as { instances: { id: string; status: string }[] };
      return instances.filter(({ status }) => status === "stopped").map(({ id }) => id);
    };
    await until(async () => (await listed()).length === ids.length);
    const erasing = ids.map((id) => running.call("POST", `/canaries/${id}/erase`));
    await Promise.race(erasing);
    await running.close();
    const answered = await Promise.allSettled(erasing);
    const erased = ids.filter((_, index) => answered[index]!.status === "fulfilled");
    expect(erased).not.toEqual([]);
    await running.open();
    // Nobody touches them: the list alone is asked.
    await until(async () => (await listed()).every((id) => !erased.includes(id)));
    for (const id of erased) {
      expect((await running.call("GET", `/canaries/${id}`)).status).toBe(410);
      expect((await running.call("POST", "/canaries", { id })).status).not.toBe(201);
    }
  });
});
