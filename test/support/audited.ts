import { journalKeys } from "../../src/audit/keys.ts";
import type { ListedHead, ProblemKind, Verification } from "../../src/contract/verification.ts";
import { Store } from "../../src/instance/store.ts";
import { verifyJournal, type ReadPart } from "../../src/instance/verifying.ts";
import type { StorageDump } from "../../src/testing/index.ts";
import { MemoryStorage } from "../../src/testing/memory-storage.ts";

const bytes = (fill: number) => Buffer.alloc(32, fill).toString("base64");

/** Keys as a deployment's setting has them. */
export const keys = {
  first: JSON.stringify({ current: "k1", keys: { k1: bytes(1) } }),
  /** After a rotation: the first key still opens. */
  both: JSON.stringify({ current: "k2", keys: { k1: bytes(1), k2: bytes(2) } }),
  second: JSON.stringify({ current: "k2", keys: { k2: bytes(2) } }),
  /** Of the same name, and another. */
  other: JSON.stringify({ current: "k1", keys: { k1: bytes(9) } }),
};

const noArchive: ReadPart = () => Promise.resolve(null);

export interface Look {
  setting?: string | undefined;
  listed?: ListedHead | null;
  readPart?: ReadPart;
  /** What somebody does to the database first. */
  tamper?: (sql: Sql) => void;
}

/** Statements on a copy of the database, by whoever has got hold of it. */
export type Sql = (query: string, ...values: unknown[]) => Record<string, unknown>[];

/** What is found in a copy of an instance's database. */
export async function look(
  dump: StorageDump,
  { setting = keys.first, listed = null, readPart = noArchive, tamper }: Look = {},
): Promise<Verification> {
  const storage = new MemoryStorage();
  storage.load(dump);
  tamper?.((query, ...values) => storage.sql.exec(query, ...values).toArray() as never);
  const settings = setting === "" ? {} : { JOURNAL_KEYS: setting };
  const store = new Store(storage.sql as never, { journalKeys: () => journalKeys(settings) });
  return verifyJournal(store, readPart, listed);
}

/** What is wrong, and where. */
export function told({ problems }: Verification): [number, ProblemKind][] {
  return problems.map(({ seq, kind }) => [seq, kind]);
}
