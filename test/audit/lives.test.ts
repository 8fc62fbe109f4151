import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { journalKeys } from "../../src/audit/keys.ts";
import { Archiver } from "../../src/instance/archiver.ts";
import { headerOf } from "../../src/instance/archive-format.ts";
import { Store } from "../../src/instance/store.ts";
import { Transactions } from "../../src/instance/transactions.ts";
import { verifyJournal } from "../../src/instance/verifying.ts";
import { AlarmClock } from "../../src/contract/alarm-clock.ts";
import { defaultLimits } from "../../src/contract/limits.ts";
import { registerWorkflows } from "../../src/kernel/registration.ts";
import { ProcessDied } from "../../src/testing/index.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";
import { keys, look, told } from "../support/audited.ts";
import { MemoryBucket } from "../support/memory-bucket.ts";
import { paid, till } from "../support/till.ts";

const env = { JOURNAL_KEYS: keys.first };

describe("a chain goes on", () => {
  it("over pausing, going back, timers, children and an end", async () => {
    const instance = await paid(3, { env });
    await instance.operate({ name: "pause" });
    expect(await look(instance.dump())).toMatchObject({ status: "intact", to: 5 });
    await instance.send({ type: "PAY", data: 5 });
    await instance.operate({ name: "resume" });
    await instance.advance(61_000);
    expect((await instance.view()).state).toBe("waiting");
    await instance.operate({ name: "rewind", to: 2 });
    await instance.restart();
    await instance.send({ type: "PAY", data: 9 });
    await instance.operate({ name: "terminate" });
    expect(await look(instance.dump())).toMatchObject({ status: "intact", from: 1, problems: [] });
  });

  it("from epoch to epoch, and tells how the one before has ended", async () => {
    const of = { ...till, continueAfter: 100 };
    const instance = await paid(98, { env, of });
    const before = await look(instance.dump());
    expect(before).toMatchObject({ status: "intact", epoch: 1, to: 99 });
    await instance.send({ type: "PAY", data: 1 });
    const dump = instance.dump();
    const after = await look(dump);
    expect(after).toMatchObject({ status: "intact", epoch: 2, from: 1, to: 1 });
    const listed = { epoch: 1, seq: 99, head: before.head };
    expect(await look(dump, { listed })).toMatchObject({ status: "intact" });
    const [first] = await instance.history();
    const { head } = first!.event.data as { head: string };
    const ended = { epoch: 1, seq: 100, head };
    expect(await look(dump, { listed: ended })).toMatchObject({ status: "intact" });
    const others = [
      { ...ended, head: before.head },
      { ...ended, seq: 101 },
    ];
    for (const listed of others) {
      expect(told(await look(dump, { listed }))).toEqual([[1, "altered"]]);
    }
  });

  it("over a crash before and after every commit", async () => {
    for (const when of ["before", "after"] as const) {
      for (let commit = 1; commit <= 6; commit++) {
        const instance = await paid(1, { env });
        instance.crash(when, commit);
        for (let n = 1; n <= 6; n++) {
          for (let tries = 0; tries < 2; tries++) {
            try {
              await instance.send({ type: "PAY", data: n }, `again${n}`);
            } catch (error) {
              if (!(error instanceof ProcessDied)) throw error;
            }
          }
        }
        const dump = instance.dump();
        expect(await look(dump), `${when} ${commit}`).toMatchObject({ status: "intact", to: 8 });
      }
    }
  });
});

/** A till whose older entries were moved to a bucket. */
async function archived(payments = 40) {
  const instance = await paid(payments, { env });
  const storage = new MemoryStorage();
  storage.load(instance.dump());
  const store = new Store(storage.sql as never, { journalKeys: () => journalKeys(env) });
  const bucket = new MemoryBucket();
  const transactions = new Transactions({
    ...{ storage, store, workflows: registerWorkflows({ tests: till }) },
    alarm: new AlarmClock({ storage, waitUntil: () => {} } as never),
    clock: () => instance.now,
    afterCommit: () => {},
  } as never);
  const archiver = new Archiver({
    ...{ transactions, objectId: "o", clock: () => instance.now },
    limits: { ...defaultLimits, partEntries: 10 },
    env: { ARCHIVE: bucket },
  });
  await archiver.archive(5);
  const verify = () =>
    verifyJournal(
      new Store(storage.sql as never, { journalKeys: () => journalKeys(env) }),
      (identity, part) => archiver.part(identity, part),
      null,
    );
  return { storage, bucket, verify };
}

/** The nth part of the archive, somehow changed. */
function change(
  { bucket }: { bucket: MemoryBucket },
  index: number,
  how: (text: string) => string,
) {
  const [key, text] = [...bucket.objects][index]!;
  const changed = how(text);
  expect(changed).not.toBe(text);
  bucket.objects.set(key, changed);
}

describe("an archive", () => {
  it("is part of the chain: parts follow each other, and what stays follows them", async () => {
    const { verify, bucket } = await archived();
    expect(bucket.objects.size).toBe(4);
    expect(await verify()).toMatchObject({
      ...{ status: "intact", from: 1, to: 41, entries: 41, archived: 36 },
    });
  });

  it.each([
    ["an entry altered", (text: string) => text.replace('"by":"tester"', '"by":"mallory"'), 11],
    ["its data altered", (text: string) => text.replace('"data":13', '"data":1300'), 14],
    ["an entry without a seal", (text: string) => text.replace(/,"seal":"[^"]*"/, ""), 11],
    ["two exchanged", (text: string) => exchanged(text, 3, 4), 13],
    ["no JSON", (text: string) => text.replace('"by":"tester"', '"by":tester'), 11],
    ["its beginning told otherwise", (text: string) => text.replace('"paid":', '"paid":7'), 10],
    ["of another instance", (text: string) => text.replace('"id":"a"', '"id":"b"'), 11],
  ])("tells where it was tampered with: %s", async (_, how, seq) => {
    const archive = await archived();
    change(archive, 1, how);
    const found = await archive.verify();
    expect(found.status).toBe("broken");
    expect(found.problems[0]!.seq).toBe(seq);
  });

  it("tells that an entry, a part, or all of it is gone", async () => {
    const shorter = await archived();
    change(shorter, 1, (text) => text.split("\n").toSpliced(5, 1).join("\n"));
    expect((await shorter.verify()).status).toBe("broken");
    const lacking = await archived();
    const keys = [...lacking.bucket.objects.keys()];
    lacking.bucket.objects.delete(keys[2]!);
    expect(told(await lacking.verify())).toEqual([[21, "archive"]]);
    const forgotten = await archived();
    forgotten.storage.sql.exec("DELETE FROM archived WHERE first > ?", 0);
    expect(told(await forgotten.verify())[0]).toEqual([1, "removed"]);
    const between = await archived();
    between.storage.sql.exec("DELETE FROM archived WHERE first = ?", 11);
    expect(told(await between.verify())[0]).toEqual([11, "archive"]);
  });

  it("tells an entry that stands in the journal too", async () => {
    const { storage, verify } = await archived();
    storage.sql.exec(
      "INSERT INTO journal SELECT 7, at, type, data, outcome, by, state, changes FROM journal WHERE seq = ?",
      40,
    );
    expect(told(await verify())).toEqual([[7, "inserted"]]);
  });

  it("keeps the texts of its entries to the letter", async () => {
    const { bucket } = await archived();
    const text = [...bucket.objects.values()][1]!;
    expect(headerOf(text)).toMatchObject({ first: 11, last: 20 });
  });
});

function exchanged(text: string, one: number, other: number): string {
  const lines = text.split("\n");
  const renumbered = (line: string, seq: number) => line.replace(/"seq":\d+/, `"seq":${seq}`);
  const [a, b] = [lines[one]!, lines[other]!];
  return lines
    .with(one, renumbered(b, 10 + one))
    .with(other, renumbered(a, 10 + other))
    .join("\n");
}

describe("whatever somebody does to a journal", () => {
  it("is found", async () => {
    const dump = (await paid(30, { env })).dump();
    const listed = { epoch: 1, seq: 31, head: (await look(dump)).head };
    const column = fc.constantFrom("at", "type", "data", "outcome", "by", "state", "changes");
    const seq = fc.integer({ min: 1, max: 31 });
    const act = fc.oneof(
      fc.record({ act: fc.constant("update" as const), seq, column, value: fc.string() }),
      fc.record({ act: fc.constant("copy" as const), seq, column, other: seq }),
      fc.record({ act: fc.constant("delete" as const), seq }),
      fc.record({ act: fc.constant("swap" as const), seq, other: seq }),
      fc.record({ act: fc.constant("cut" as const), seq }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 3 }), async (acts) => {
        let before: unknown;
        let after: unknown;
        const found = await look(dump, {
          listed,
          tamper: (sql) => {
            const all = () => [
              sql("SELECT * FROM journal WHERE seq > ? ORDER BY seq", 0),
              sql("SELECT * FROM state WHERE one = ?", 1),
            ];
            before = all();
            for (const one of acts) {
              if (one.act === "update") {
                sql(`UPDATE journal SET ${one.column} = ? WHERE seq = ?`, one.value, one.seq);
              } else if (one.act === "copy") {
                sql(
                  `UPDATE journal SET ${one.column} = coalesce((SELECT ${one.column} FROM journal WHERE seq = ?), ${one.column}) WHERE seq = ?`,
                  ...[one.other, one.seq],
                );
              } else if (one.act === "delete") {
                sql("DELETE FROM journal WHERE seq = ?", one.seq);
              } else if (one.act === "swap") {
                sql("UPDATE journal SET seq = ? WHERE seq = ?", 999, one.seq);
                sql("UPDATE journal SET seq = ? WHERE seq = ?", one.seq, one.other);
                sql("UPDATE journal SET seq = ? WHERE seq = ?", one.other, 999);
              } else {
                sql("DELETE FROM journal WHERE seq > ?", one.seq);
                sql(
                  `UPDATE state SET seq = ?, head = (SELECT rtrim(substr(changes, instr(changes, '"seal":"') + 8), '"}') FROM journal WHERE seq = ?)`,
                  ...[one.seq, one.seq],
                );
              }
            }
            after = all();
          },
        });
        const isSame = JSON.stringify(before) === JSON.stringify(after);
        expect(found.status, JSON.stringify(found.problems)).toBe(isSame ? "intact" : "broken");
      }),
      { numRuns: 300 },
    );
  });
});
