import { afterEach, describe, expect, it } from "vitest";
import { sing } from "../support/canary.ts";
import { ShopOnDisk } from "../support/shop-on-disk.ts";

let shop: ShopOnDisk | undefined;

afterEach(async () => {
  await shop?.remove();
});

async function until(look: () => Promise<boolean>): Promise<void> {
  // An alarm whose handler was killed rings again after thirty seconds.
  const deadline = performance.now() + 50_000;
  while (!(await look())) {
    if (performance.now() > deadline) throw new Error("It never came");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe("what was erased", () => {
  it("is in no file of the object's any more, and in no row of the list's", async () => {
    shop = new ShopOnDisk("test/support/erased-worker.ts");
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
    shop = new ShopOnDisk("test/support/erased-worker.ts");
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
  }, 150_000);
});
