import { beforeAll, describe, expect, it } from "vitest";
import type { Verification } from "../../src/contract/verification.ts";
import type { StorageDump } from "../../src/testing/index.ts";
import { keys, look, told, type Sql } from "../support/audited.ts";
import { paid } from "../support/till.ts";

const at = (seq: number) => `WHERE seq = ${seq}`;

const env = { JOURNAL_KEYS: keys.first };

/** An instance with what belongs to it: with six payments, ten entries. */
async function lived(id = "a", payments = 6): Promise<StorageDump> {
  const instance = await paid(payments, { id, env });
  await instance.operate({ name: "pause" });
  await instance.operate({ name: "resume" });
  // No use for it yet: it waits.
  await instance.send({ type: "GO", data: 1 });
  return instance.dump();
}

let dump: StorageDump;
let intact: Verification;

beforeAll(async () => {
  dump = await lived();
  intact = await look(dump);
});

const found = async (tamper: (sql: Sql) => void) => told(await look(dump, { tamper }));

describe("a journal that nobody has touched", () => {
  it("is intact, from its first entry to its last", () => {
    expect(intact).toMatchObject({
      ...{ status: "intact", epoch: 1, from: 1, to: 10, entries: 10, archived: 0, problems: [] },
      head: expect.stringMatching(/^k1\.[\w-]{43}$/) as string,
    });
  });

  it("says who did what by which credential", async () => {
    const instance = await paid(0, { env });
    const [entry] = await instance.history();
    expect(entry).toMatchObject({ by: "tester", changes: { status: "active" } });
    expect(JSON.stringify(entry)).not.toContain("seal");
  });
});

describe("an entry that was altered", () => {
  const columns: [string, string][] = [
    ["at", "at + 1"],
    ["type", "'CLOSE'"],
    ["data", "'3000'"],
    ["data", "NULL"],
    ["outcome", "'ignored'"],
    ["by", "'mallory'"],
    ["state", `'"closed"'`],
    ["changes", `replace(changes, '"paid":6', '"paid":600')`],
    ["changes", `'{}'`],
    ["changes", `replace(changes, 'k1.', 'k1.A')`],
    ["changes", "'no JSON'"],
    ["data", "x'33'"],
  ];

  it.each(columns)("is found: %s = %s", async (column, value) => {
    const verification = await look(dump, {
      tamper: (sql) => sql(`UPDATE journal SET ${column} = ${value} ${at(4)} AND ? = 1`, 1),
    });
    expect(verification.status).toBe("broken");
    expect(told(verification)[0]![0]).toBe(4);
    expect(["altered", "unsealed"]).toContain(told(verification)[0]![1]);
  });

  it("is the only one that is found", async () => {
    expect(
      await found((sql) => sql(`UPDATE journal SET by = 'mallory' ${at(4)} AND ? = 1`, 1)),
    ).toEqual([[4, "altered"]]);
  });

  it("is found though it has the seal of another entry", async () => {
    const other = await lived("b");
    const row = other.rows["journal"]![3]!;
    expect(
      await found((sql) => {
        sql(`UPDATE journal SET data = ?, changes = ? ${at(4)}`, row["data"], row["changes"]);
      }),
    ).toMatchObject([
      [4, "altered"],
      [5, "altered"],
    ]);
  });
});

describe("entries that were removed, added or moved", () => {
  it.each([
    ["the first", 1],
    ["one in the middle", 5],
  ])("are found: %s", async (_, seq) => {
    expect(await found((sql) => sql(`DELETE FROM journal ${at(seq)} AND ? = 1`, 1))).toContainEqual(
      [seq, "removed"],
    );
  });

  it("are found: the last", async () => {
    expect(await found((sql) => sql("DELETE FROM journal WHERE seq > ?", 9))).toContainEqual([
      9,
      "cut-off",
    ]);
  });

  it("are found: one removed, and those behind it moved up", async () => {
    const problems = await found((sql) => {
      sql("DELETE FROM journal WHERE seq = ?", 4);
      for (let seq = 5; seq <= 10; seq++) {
        sql("UPDATE journal SET seq = ? WHERE seq = ?", seq - 1, seq);
      }
      sql("UPDATE state SET seq = ?", 9);
    });
    expect(problems.length).toBeGreaterThan(0);
    expect(problems[0]).toEqual([4, "removed"]);
  });

  it("are found: one put in, and those behind it moved on", async () => {
    const problems = await found((sql) => {
      for (let seq = 10; seq >= 4; seq--) {
        sql("UPDATE journal SET seq = ? WHERE seq = ?", seq + 1, seq);
      }
      sql(
        `INSERT INTO journal SELECT 4, at, type, data, outcome, by, state, changes FROM journal
           WHERE seq = ?`,
        3,
      );
      sql("UPDATE state SET seq = ?", 11);
    });
    expect(problems[0]).toEqual([4, "inserted"]);
  });

  it("are found: one put in at the end", async () => {
    const problems = await found((sql) =>
      sql(
        `INSERT INTO journal SELECT 11, at, type, data, outcome, by, state, changes FROM journal
           WHERE seq = ?`,
        4,
      ),
    );
    expect(problems).toContainEqual([11, "inserted"]);
  });

  it("are found: two that changed places", async () => {
    const problems = await found((sql) => {
      sql("UPDATE journal SET seq = ? WHERE seq = ?", 99, 4);
      sql("UPDATE journal SET seq = ? WHERE seq = ?", 4, 5);
      sql("UPDATE journal SET seq = ? WHERE seq = ?", 5, 99);
    });
    expect(problems).toEqual([
      [4, "reordered"],
      [5, "reordered"],
    ]);
  });

  it("are found: those of another instance", async () => {
    const other = await lived("b", 2);
    const problems = await found((sql) => {
      sql("DELETE FROM journal WHERE seq > ?", 0);
      for (const row of other.rows["journal"]!) {
        sql("INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?)", ...Object.values(row));
      }
      const [state] = other.rows["state"]!;
      const { seq, body, head } = state!;
      sql("UPDATE state SET seq = ?, body = ?, head = ?", seq, body, head);
    });
    expect(problems.map(([, kind]) => kind)).toContain("altered");
  });
});

describe("an end that was cut off", () => {
  const listed = () => ({ epoch: 1, seq: intact.to, head: intact.head });
  const early = () => lived("a", 3);

  it("is found by the head, where that was forgotten", async () => {
    const problems = await found((sql) => {
      sql("DELETE FROM journal WHERE seq > ?", 9);
      sql("UPDATE state SET seq = ?", 9);
    });
    expect(problems).toContainEqual([9, "cut-off"]);
  });

  it("is found by what the list was told, where all else was mended", async () => {
    const copy = (await paid(3, { env })).dump();
    expect((await look(copy)).status).toBe("intact");
    const verification = await look(copy, { listed: listed() });
    expect(verification.status).toBe("broken");
    expect(told(verification)).toEqual([[4, "cut-off"]]);
  });

  it("is found by what the list was told, where others were written in its place", async () => {
    const other = await lived("a", 6);
    const seal = (await look(other)).head;
    expect(seal).toBe(intact.head);
    const instance = await paid(12, { env });
    expect(told(await look(instance.dump(), { listed: listed() }))).toEqual([[10, "altered"]]);
  });

  it("is found by what the list was told, where it knows of another epoch", async () => {
    const ahead = { epoch: 2, seq: 1, head: null };
    expect(told(await look(await early(), { listed: ahead }))).toMatchObject([[7, "cut-off"]]);
  });

  it("is no end that is new since", async () => {
    const before = { epoch: 1, seq: 7, head: (await look(await early())).head };
    // Another history up to there, as the credentials and times are the same but the end is not.
    expect((await look(dump, { listed: { ...before, head: null } })).status).toBe("intact");
  });
});

describe("what must agree with the journal", () => {
  const replaced = (from: string, to: string) =>
    found((sql) => sql("UPDATE state SET body = replace(body, ?, ?)", from, to));

  it("is the state: its context, its value, its timers, and whether it is held", async () => {
    const { body } = dump.rows["state"]![0] as { body: string };
    expect(body).toContain('"paid":21');
    for (const [from, to] of [
      ['"paid":21', '"paid":2100'],
      ['"value":"open"', '"value":"closed"'],
      ['"timers":[{', '"timers":[],"old":[{'],
      ['"status":"active"', '"status":"done"'],
      [',"timers"', ',"paused":{"at":1,"by":"mallory"},"timers"'],
      ['{"machine"', "no JSON"],
    ] as const) {
      expect(body).toContain(from);
      expect(await replaced(from, to), to).toEqual([[10, "state"]]);
    }
  });

  it("are the events that wait", async () => {
    expect(await found((sql) => sql("UPDATE deferred SET data = ?", "2"))).toEqual([[10, "state"]]);
    expect(await found((sql) => sql("UPDATE deferred SET by = ?", "x"))).toEqual([[10, "state"]]);
  });

  it("are the states that are kept of the past", async () => {
    const long = (await paid(250, { env })).dump();
    expect(await look(long)).toMatchObject({ status: "intact", entries: 251 });
    const tampered = await look(long, {
      tamper: (sql) =>
        sql(`UPDATE moments SET body = replace(body, '"paid":', '"paid":1') WHERE seq = ?`, 100),
    });
    expect(told(tampered)).toEqual([[100, "moment"]]);
  });

  it("is the version that it says it is of", async () => {
    // It was never migrated: nothing but the list of versions could tell.
    expect(await found((sql) => sql("UPDATE identity SET tenant = ?", "other"))).toContainEqual([
      1,
      "altered",
    ]);
    expect((await found((sql) => sql("UPDATE identity SET epoch = ?", 2))).length).toBeGreaterThan(
      0,
    );
  });

  it("is the person whose it is", async () => {
    const given = await found((sql) => sql("UPDATE identity SET started_by = ?", "mallory"));
    expect(given).toContainEqual([1, "altered"]);
  });
});

describe("keys", () => {
  it("that are not there protect nothing, and say so", async () => {
    expect(await look(dump, { setting: "" })).toMatchObject({ status: "unprotected" });
    const instance = await paid(0, {});
    const unsealed = await look(instance.dump());
    expect(unsealed).toMatchObject({ status: "unprotected", from: null, head: null, to: 1 });
    expect(
      told(
        await look(dump, {
          setting: "",
          tamper: (sql) => sql("DELETE FROM journal WHERE seq = ?", 4),
        }),
      ),
    ).toEqual([[4, "removed"]]);
  });

  it("that are others don't fit", async () => {
    expect((await look(dump, { setting: keys.other })).status).toBe("broken");
    expect(told(await look(dump, { setting: keys.second }))[0]).toEqual([1, "unknown-key"]);
  });

  it("can be rotated: what was sealed before stays good", async () => {
    const env = { JOURNAL_KEYS: keys.first };
    const instance = await paid(1, { env });
    env.JOURNAL_KEYS = keys.both;
    await instance.restart();
    await instance.send({ type: "PAY", data: 2 });
    const rotated = instance.dump();
    expect(await look(rotated, { setting: keys.both })).toMatchObject({
      ...{ status: "intact", from: 1, to: 3 },
      head: expect.stringMatching(/^k2\./) as string,
    });
    expect(told(await look(rotated, { setting: keys.second }))[0]).toEqual([1, "unknown-key"]);
  });

  it("that came later protect from then on", async () => {
    const env: { JOURNAL_KEYS?: string } = {};
    const instance = await paid(1, { env });
    env.JOURNAL_KEYS = keys.first;
    await instance.restart();
    await instance.send({ type: "PAY", data: 2 });
    const begun = instance.dump();
    expect(await look(begun)).toMatchObject({ status: "intact", from: 3, to: 3 });
    delete env.JOURNAL_KEYS;
    await instance.restart();
    await instance.send({ type: "PAY", data: 3 });
    env.JOURNAL_KEYS = keys.first;
    await instance.restart();
    await instance.send({ type: "PAY", data: 4 });
    expect(told(await look(instance.dump()))).toEqual([[4, "unsealed"]]);
  });

  it("that can't be read stop everything, and nothing is lost when they can", async () => {
    const env = { JOURNAL_KEYS: keys.first };
    const instance = await paid(0, { env });
    env.JOURNAL_KEYS = '{"current":"k1","keys":{"k1":"c2hvcnQ="}}';
    await instance.restart();
    const refused = await instance.send({ type: "PAY", data: 1 });
    expect(refused).toMatchObject({ ok: false, problem: { status: 503 } });
    await instance.advance(60 * 60_000);
    env.JOURNAL_KEYS = keys.first;
    await instance.restart();
    await instance.advance(60 * 60_000);
    expect((await instance.view()).state).toBe("waiting");
    expect(await look(instance.dump())).toMatchObject({ status: "intact" });
  });
});
