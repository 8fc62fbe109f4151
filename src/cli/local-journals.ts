import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { JournalKeys } from "../audit/keys.ts";
import { prefixes } from "../contract/buckets.ts";
import type { ListedHead, Verification } from "../contract/verification.ts";
import { Store } from "../instance/store.ts";
import { verifyJournal, verifyTombstone } from "../instance/verifying.ts";
import { ReadOnlySql } from "./read-only-sql.ts";

/** What was found of one object. */
export interface Looked {
  /** `{tenant}/{workflow}/{id}`, or the object's id where nothing tells that. */
  name: string;
  found: Verification;
}

/** The instances of a local runtime by their files, with its list and its archive. Nothing is written. */
export class LocalJournals {
  readonly #state: string;
  readonly #keys: () => JournalKeys | null;
  readonly #listed: ReadonlyMap<string, ListedHead>;
  readonly #blobs: ReadonlyMap<string, string>;
  readonly #wanted: readonly string[] | undefined;
  /** Of all that were looked at, wanted or not. */
  readonly workflows = new Set<string>();

  /**
   * @param state the directory that the runtime persists to
   * @param wanted the workflows to look at; all by default
   */
  constructor(state: string, keys: () => JournalKeys | null, wanted?: readonly string[]) {
    this.#state = state;
    this.#keys = keys;
    this.#wanted = wanted;
    this.#listed = this.#readLists();
    this.#blobs = this.#readBuckets();
  }

  /** The files of the objects. */
  files(): string[] {
    return globSync("{v3/do/,}*Instance/*.sqlite", { cwd: this.#state })
      .filter((path) => /^[0-9a-f]{64}$/.test(basename(path, ".sqlite")))
      .map((path) => join(this.#state, path))
      .toSorted();
  }

  /** @returns null where nothing has begun there, or of a workflow that isn't wanted */
  async look(file: string): Promise<Looked | null> {
    const object = basename(file, ".sqlite");
    const sql = new ReadOnlySql(file);
    try {
      const store = new Store(sql as never, { journalKeys: this.#keys });
      const listed = this.#listed.get(object) ?? null;
      const tombstone = store.tombstones.read();
      if (tombstone !== null) {
        if (!this.#isWanted(tombstone.workflow)) return null;
        const name = `${tombstone.tenant}/${tombstone.workflow} (erased, ${object.slice(0, 8)}…)`;
        return { name, found: verifyTombstone(store, tombstone, listed) };
      }
      if (!store.exists()) return null;
      const { tenant, workflow, id } = store.identity();
      if (!this.#isWanted(workflow)) return null;
      const found = await verifyJournal(
        store,
        ({ epoch }, { first, last }) => {
          const key = `${prefixes.journal(object)}${epoch}/${first}-${last}.ndjson`;
          const path = this.#blobs.get(key);
          return Promise.resolve(path === undefined ? null : readFileSync(path, "utf8"));
        },
        listed,
      );
      return { name: `${tenant}/${workflow}/${id}`, found };
    } finally {
      sql.close();
    }
  }

  #isWanted(workflow: string): boolean {
    this.workflows.add(workflow);
    return this.#wanted?.includes(workflow) ?? true;
  }

  #readLists(): Map<string, ListedHead> {
    const heads = new Map<string, ListedHead>();
    for (const path of globSync("v3/d1/*/*.sqlite", { cwd: this.#state })) {
      for (const row of this.#rows(path, "instances", "object, epoch, seq, head")) {
        const { object, epoch, seq, head } = row as unknown as ListedHead & { object: string };
        heads.set(object, { epoch, seq, head });
      }
    }
    return heads;
  }

  /** Where the objects of all buckets are, by their keys. */
  #readBuckets(): Map<string, string> {
    const blobs = new Map<string, string>();
    for (const path of globSync("v3/r2/*/*.sqlite", { cwd: this.#state })) {
      for (const row of this.#rows(path, "_mf_objects", "key, blob_id")) {
        const { key, blob_id: blob } = row as { key: string; blob_id: string };
        if (!key.startsWith("journal/")) continue;
        const [found] = globSync(`v3/r2/*/blobs/${blob}`, { cwd: this.#state });
        if (found !== undefined) blobs.set(key, join(this.#state, found));
      }
    }
    return blobs;
  }

  #rows(path: string, table: string, columns: string): Record<string, unknown>[] {
    const sql = new ReadOnlySql(join(this.#state, path));
    try {
      const found = sql.exec("SELECT sql FROM sqlite_master WHERE name = ?", table).toArray();
      const isThere = columns.split(", ").every((one) => String(found[0]?.["sql"]).includes(one));
      return isThere ? sql.exec(`SELECT ${columns} FROM ${table}`).toArray() : [];
    } finally {
      sql.close();
    }
  }
}

/** @throws Error where there is no such directory */
export function checkState(state: string): void {
  if (existsSync(state)) return;
  throw new Error(`There is no ${state}: nothing has run here yet. Name another with --state.`);
}
