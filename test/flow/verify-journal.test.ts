import { execFile } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "../../src/cli/fleet.ts";
import { ShopOnDisk } from "../support/shop-on-disk.ts";

const shop = new ShopOnDisk("test/support/erased-worker.ts");

beforeAll(async () => {
  await shop.open();
  for (const id of ["a", "b", "c"]) {
    await shop.call("POST", "/canaries", { id, input: { text: "tweet" } });
    for (let n = 0; n < 5; n++) await shop.call("POST", `/canaries/${id}/pause`);
    await shop.call("POST", `/canaries/${id}/resume`);
  }
  await shop.call("POST", "/canaries/b/archive", { keep: 1 });
  await shop.call("POST", "/canaries/c/terminate");
  await shop.call("POST", "/canaries/c/erase", { force: true });
  const listed = async () => (await shop.call("GET", "/canaries?limit=10")).text;
  const deadline = performance.now() + 20_000;
  // The list is told a second after the last event.
  while (!/"id":"a".*"seq":3|"seq":3.*"id":"a"/.test(await listed())) {
    if (performance.now() > deadline) throw new Error(await listed());
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
});

afterAll(() => shop.remove());

/** `npm run verify-journal` as somebody types it. */
function run(...parameters: string[]): Promise<{ code: number; output: string }> {
  const env = {
    ...process.env,
    NO_COLOR: "1",
    JOURNAL_KEYS: shop.secrets.variables["JOURNAL_KEYS"],
    DURACHART_TOKEN: shop.token,
  };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [join(root, "src/cli/verify-journal.ts"), ...parameters],
      { env },
      (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
      },
    );
  });
}

const overFiles = () => run("--state", shop.state);
const overUrl = () => run("--url", shop.url, "--workflow", "canaries");

/** Writes into the file of the one instance that has so many rows in its journal. */
function tamper(rows: number, statement: string): void {
  const folder = join(shop.state, "v3/do/erased-Instance");
  for (const name of readdirSync(folder).filter((one) => /^[0-9a-f]{64}\.sqlite$/.test(one))) {
    const opened = new DatabaseSync(join(folder, name));
    const found = opened.prepare("SELECT name FROM sqlite_master WHERE name = 'journal'").all();
    if (found.length > 0) {
      const { count } = opened.prepare("SELECT count(*) AS count FROM journal").get() as {
        count: number;
      };
      if (count === rows) opened.exec(statement);
    }
    opened.close();
  }
}

describe("npm run verify-journal", () => {
  it("finds everything intact, over the files of a running shop, and by its address", async () => {
    expect(await overFiles()).toEqual({
      code: 0,
      output: "3 journals, 6 entries: 3 intact\n",
    });
    expect(await overUrl()).toEqual({ code: 0, output: "2 journals, 6 entries: 2 intact\n" });
    const wrong = await run("--url", shop.url, "--workflow", "nothing");
    expect(wrong).toMatchObject({ code: 1, output: expect.stringContaining("404") as string });
  });

  it("looks at the workflow that was named alone, over files too, and knows none that isn't there", async () => {
    expect(await run("--state", shop.state, "--workflow", "canaries")).toEqual({
      ...{ code: 0, output: "3 journals, 6 entries: 3 intact\n" },
    });
    expect(await run("--state", shop.state, "--workflow", "payments")).toEqual({
      ...{ code: 0, output: "0 journals, 0 entries: 0 intact\n" },
    });
    const { code, output } = await run("--state", shop.state, "--workflow", "nothing");
    expect(code).toBe(2);
    expect(output).toMatch(/^There is no workflow "nothing" in .*: there are .*canaries\.\n$/);
  });

  it("says in one line what was mistyped", async () => {
    const { code, output } = await run("--workflw", "canaries");
    expect(code).toBe(2);
    expect(output).toMatch(/^Unknown option '--workflw'.*\n$/);
  });

  it("finds what somebody has written into a file, says where, and ends with 1", async () => {
    await shop.close();
    tamper(3, `UPDATE journal SET "by" = 'mallory' WHERE seq = 2`);
    const altered = await overFiles();
    expect(altered.code).toBe(1);
    expect(altered.output).toContain("tropical/canaries/a: broken");
    expect(altered.output).toMatch(/^ +2 {2}altered {2}Entry 2 is not what was sealed\.$/m);
    expect(altered.output).toContain("3 journals, 6 entries: 2 intact, 1 broken");
    expect((await run("--state", shop.state, "--workflow", "payments")).code).toBe(0);
    await shop.open();
    expect((await overUrl()).output).toContain("canaries/a: broken");
    await shop.close();
    tamper(3, `UPDATE journal SET "by" = 'olga' WHERE seq = 2`);
    expect((await overFiles()).code).toBe(0);
  });

  it("finds an end that was cut off and mended, by the list's own file", async () => {
    tamper(
      3,
      `DELETE FROM journal WHERE seq = 3; UPDATE state SET seq = 2, head = (
         SELECT rtrim(substr(changes, instr(changes, '"seal":"') + 8), '"}') FROM journal WHERE seq = 2)`,
    );
    const { output } = await overFiles();
    expect(output).toMatch(/cut-off {2}The list was told of entry 3/);
  });

  it("finds that a part of the archive was altered", async () => {
    const blobs = join(shop.state, "v3/r2/on-disk-archive/blobs");
    const path = join(blobs, readdirSync(blobs)[0]!);
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace('"by":"olga"', '"by":"eve!"'));
    const { output } = await overFiles();
    expect(output).toMatch(/canaries\/b: broken\n +1 {2}altered/);
    writeFileSync(path, text);
  });
});
