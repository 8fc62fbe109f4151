import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";

const folder = join(import.meta.dirname, "../../migrations/list");
const migrations = globSync("*.sql", { cwd: folder }).toSorted();

const migrate = (database: DatabaseSync, from: string, to: string): void => {
  for (const file of migrations.filter((name) => name >= from && name < to)) {
    database.exec(readFileSync(join(folder, file), "utf8"));
  }
};

it("Rows of before know their jurisdiction after the migration", () => {
  const database = new DatabaseSync(":memory:");
  migrate(database, "0001", "0004");
  const instance = database.prepare(
    `INSERT INTO instances (object, tenant, workflow, id, jurisdiction, epoch, seq, revision, status,
       created_at, updated_at, labels) VALUES (?, 'a', 'orders', ?, ?, 1, 1, 1, 'active', 1, 1, ?)`,
  );
  const labels = JSON.stringify(["all", "status:active", "attribute:x=y"]);
  for (const [object, jurisdiction] of [
    ["1", null],
    ["2", "eu"],
    ["3", "eu"],
    ["4", "us"],
  ] as const)
    instance.run(object, `o-${object}`, jurisdiction, labels);
  const letter = database.prepare(
    `INSERT INTO dead_letters VALUES (?, 'a', 'queue:q', 'm', 'orders/o-2', NULL, '{}', 1, ?, '[]',
       'dead', 1, 1)`,
  );
  let deep: unknown = 1;
  for (let depth = 0; depth < 3_000; depth++) deep = [deep];
  const bodies = {
    plain: { tenant: "a", event: {} },
    european: { tenant: "a", jurisdiction: "eu", event: {} },
    nowhere: { tenant: "a", jurisdiction: "moon", event: {} },
    listed: { tenant: "a", jurisdiction: null, revision: 1 },
    text: "text",
    deep: { tenant: "a", jurisdiction: "eu", deep },
  };
  for (const [id, body] of Object.entries(bodies)) letter.run(id, JSON.stringify(body));
  migrate(database, "0004", "9");
  expect(
    database.prepare("SELECT DISTINCT object, jurisdiction FROM labels ORDER BY object").all(),
  ).toEqual([
    { object: "1", jurisdiction: null },
    { object: "2", jurisdiction: "eu" },
    { object: "3", jurisdiction: "eu" },
    { object: "4", jurisdiction: "us" },
  ]);
  const counts = "SELECT jurisdiction, label, count FROM counts WHERE count > 0 ORDER BY 1, 2";
  expect(database.prepare(counts).all()).toEqual([
    { jurisdiction: "", label: "all", count: 1 },
    { jurisdiction: "", label: "status:active", count: 1 },
    { jurisdiction: "eu", label: "all", count: 2 },
    { jurisdiction: "eu", label: "status:active", count: 2 },
    { jurisdiction: "us", label: "all", count: 1 },
    { jurisdiction: "us", label: "status:active", count: 1 },
  ]);
  const letters = "SELECT id, tenant, jurisdiction FROM dead_letters ORDER BY id";
  expect(database.prepare(letters).all()).toEqual([
    // Too deep for SQLite to tell, or of no jurisdiction that there is: nobody's.
    { id: "deep", tenant: "", jurisdiction: null },
    { id: "european", tenant: "a", jurisdiction: "eu" },
    { id: "listed", tenant: "a", jurisdiction: null },
    { id: "nowhere", tenant: "", jurisdiction: null },
    { id: "plain", tenant: "a", jurisdiction: null },
    { id: "text", tenant: "a", jurisdiction: null },
  ]);
  // The instance of the other jurisdiction has the same subject, and keeps its letters.
  database.exec(
    "UPDATE instances SET status = 'erased', labels = '[]', jurisdiction = NULL WHERE object = '2'",
  );
  const left = database.prepare("SELECT id FROM dead_letters WHERE tenant = 'a' ORDER BY id").all();
  expect(left).toEqual([{ id: "listed" }, { id: "plain" }, { id: "text" }]);
  expect(database.prepare(counts).all()).toContainEqual({
    ...{ jurisdiction: "eu", label: "all", count: 1 },
  });
});
