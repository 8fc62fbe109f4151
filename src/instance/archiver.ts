import { Drawer } from "../contract/buckets.ts";
import { defaultLimits, type Limits } from "../contract/limits.ts";
import { refusal, type ProblemError } from "../contract/problem.ts";
import { realmOfOwn, type Whose } from "../contract/realm.ts";
import { promisesIn } from "../kernel/generations.ts";
import type { Moment } from "../kernel/moment.ts";
import { momentIn, partText, rowsIn, type MomentThen } from "./archive-format.ts";
import type { ArchivedPart } from "./archived-parts.ts";
import type { Identity, JournalRow, Store } from "./store.ts";
import type { Transactions } from "./transactions.ts";

/** What one object in the bucket holds at most, but for an entry that is longer. */
const MAX_PART_CHARACTERS = 4_000_000;

/** Entries read from the journal at once. */
const PAGE = 250;

export interface ArchiverOptions {
  transactions: Transactions;
  env: unknown;
  /** The object's id in hexadecimal. */
  objectId: string;
  limits?: Limits;
  /** Milliseconds since the epoch. */
  clock: () => number;
}

/** What archiving has done. */
export interface Archived {
  /** Entries that were moved. */
  entries: number;
  /** The last archived entry. */
  through: number;
}

/**
 * Moves the older part of a journal to R2, and reads it from there. Events may come at any time between:
 * what is moved never changes, and nothing leaves the journal before it is stored.
 */
export class Archiver {
  readonly #transactions: Transactions;
  readonly #store: Store;
  readonly #env: unknown;
  readonly #objectId: string;
  readonly #limits: Limits;
  readonly #clock: () => number;
  /** The one under way: they go one after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: ArchiverOptions) {
    const { transactions, env, objectId, clock, limits = defaultLimits } = options;
    this.#transactions = transactions;
    this.#store = transactions.store;
    this.#env = env;
    this.#objectId = objectId;
    this.#limits = limits;
    this.#clock = clock;
  }

  /**
   * Archives all but the last entries. Broken off anywhere, it is repeated with the same result.
   *
   * @param keep entries that stay in the journal; at least 1
   * @throws ProblemError not-configured; overloaded where the bucket fails
   */
  archive(keep: number): Promise<Archived> {
    const turn = this.#last.then(() => this.#archive(keep));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #archive(keep: number): Promise<Archived> {
    const identity = this.#store.identity();
    const drawer = this.#drawer(identity);
    const until = Math.min(this.#store.state().seq - keep, this.#beforeFailure());
    let entries = 0;
    while (this.#isStill(identity)) {
      const found = this.#nextPart(until);
      if (found === null) break;
      const { part, rows } = found;
      const version = this.#versionAfter(part.last);
      const text = partText({ ...identity, version }, rows, this.#momentBefore(part));
      const name = nameOf(identity.epoch, part);
      await reach(() => drawer.put(name, text, PART_METADATA));
      if (!this.#finish(identity, part)) {
        // Erased meanwhile: what was stored after that must not stay. A new epoch's keys are others.
        if (!this.#isAlive(identity)) await reach(() => drawer.delete(name));
        break;
      }
      entries += rows.length;
    }
    return { entries, through: this.#store.exists() ? this.#store.archived.through() : 0 };
  }

  /**
   * Entries of the history, wherever they are.
   *
   * @throws ProblemError not-configured; overloaded where the bucket fails; state-not-kept where a part is gone
   */
  async read(after: number, limit: number): Promise<JournalRow[]> {
    if (!this.#store.exists()) return [];
    const identity = this.#store.identity();
    const rows: JournalRow[] = [];
    for (;;) {
      // Meanwhile more may be archived, or the history begin again: then it is read again.
      if (!this.#isStill(identity)) return this.read(after, limit);
      const cursor = rows.at(-1)?.seq ?? after;
      const missing = limit - rows.length;
      if (missing === 0) return rows;
      if (cursor >= this.#store.archived.through()) {
        return [...rows, ...this.#store.journal(cursor, missing)];
      }
      const text = await this.#partText(identity, this.#store.archived.holding(cursor + 1));
      rows.push(...rowsIn(text, cursor, missing));
    }
  }

  /** What the instance was after an entry, wherever that is; null where it is not kept. @throws as `read` does */
  async momentAt(seq: number): Promise<MomentThen | null> {
    if (seq > this.#store.archived.through()) {
      const moment = this.#store.moments.at(seq);
      const [entry] = this.#store.journal(seq - 1, 1);
      if (moment === null || entry?.seq !== seq) return null;
      return { moment, version: this.#versionAfter(seq), at: entry.at };
    }
    const part = this.#store.archived.holding(seq);
    return momentIn(await this.#partText(this.#store.identity(), part), seq);
  }

  /** What has ended in an error is retried from the entry before it, which stays. */
  #beforeFailure(): number {
    const hasFailed = this.#transactions.current()?.machine.snapshot.status === "error";
    const failed = hasFailed ? this.#store.search.lastFailure() : null;
    return failed === null ? Infinity : failed - 2;
  }

  /** Notes the next part, so that a repeat finds it; null where there is nothing more to archive. */
  #nextPart(until: number): { part: ArchivedPart; rows: JournalRow[] } | null {
    const begun = this.#store.archived.unfinished();
    if (begun !== null) {
      const rows = this.#store.journal(begun.first - 1, begun.last - begun.first + 1);
      return { part: begun, rows: whole(begun, rows) };
    }
    const rows = this.#collect(this.#store.archived.through(), until);
    if (rows.length === 0) return null;
    const part = { first: rows[0]!.seq, last: rows.at(-1)!.seq };
    whole(part, rows);
    this.#transactions.transact(() => this.#store.archived.begin(part, this.#clock()));
    return { part, rows };
  }

  #collect(after: number, until: number): JournalRow[] {
    const rows: JournalRow[] = [];
    let characters = 0;
    const { partEntries } = this.#limits;
    while (rows.length < partEntries) {
      const last = rows.at(-1)?.seq ?? after;
      const wanted = Math.min(PAGE, partEntries - rows.length, until - last);
      const page = wanted > 0 ? this.#store.journal(last, wanted) : [];
      for (const row of page) {
        characters += row.changes.length + row.state.length + (row.data?.length ?? 0);
        if (rows.length > 0 && characters > MAX_PART_CHARACTERS) return rows;
        rows.push(row);
      }
      if (page.length === 0) break;
    }
    return rows;
  }

  #versionAfter(seq: number): string {
    return this.#store.search.versionBefore(seq) ?? this.#store.identity().version;
  }

  #momentBefore({ first }: ArchivedPart): Moment | null {
    return first === 1 ? null : this.#store.moments.at(first - 1);
  }

  /** Takes what is stored out of the journal. @returns false where this history is over */
  #finish(identity: Identity, part: ArchivedPart): boolean {
    return this.#transactions.transact(() => {
      if (!this.#isStill(identity)) return false;
      const { moments, search, archived } = this.#store;
      // The entries that stay are told from here on.
      const moment = moments.at(part.last);
      if (moment !== null) {
        archived.keepRuns(search.runs(new Set(promisesIn(moment)), part.last));
        moments.beginAt(part.last, moment);
      }
      this.#store.exports.keep(identity.epoch, part.last);
      archived.finish(part);
      this.#transactions.journal.forget();
      return true;
    });
  }

  /** Whether the history is the one that was. */
  #isStill(identity: Identity): boolean {
    return this.#isAlive(identity) && this.#store.identity().epoch === identity.epoch;
  }

  /** Whether the instance is the one that was: an erased one may have been started anew. */
  #isAlive({ createdAt }: Identity): boolean {
    return this.#store.exists() && this.#store.identity().createdAt === createdAt;
  }

  /** A part as it is stored; null where it is gone. @throws ProblemError as `read` does */
  async part(identity: Identity, part: ArchivedPart): Promise<string | null> {
    const drawer = this.#drawer(identity);
    const found = await reach(async () => (await drawer.get(nameOf(identity.epoch, part)))?.text());
    return found ?? null;
  }

  async #partText(identity: Identity, part: ArchivedPart): Promise<string> {
    const text = await this.part(identity, part);
    if (text !== null) return text;
    throw refusal(
      "state-not-kept",
      `The entries ${part.first} to ${part.last} were archived as ${this.#drawer(identity).key(nameOf(identity.epoch, part))}, which is gone from the bucket ARCHIVE.`,
    );
  }

  #drawer(identity: Whose): Drawer {
    return new Drawer(this.#env, realmOfOwn(identity), "journal", this.#objectId);
  }
}

function nameOf(epoch: number, { first, last }: ArchivedPart): string {
  return `${epoch}/${first}-${last}.ndjson`;
}

const PART_METADATA: R2PutOptions = { httpMetadata: { contentType: "application/x-ndjson" } };

/** Nothing is removed on the word of a journal that lacks something. */
function whole({ first, last }: ArchivedPart, rows: JournalRow[]): JournalRow[] {
  if (rows.length === last - first + 1 && rows[0]?.seq === first) return rows;
  throw new Error(`The journal lacks entries between ${first} and ${last}: it is not archived.`);
}

async function reach<Answer>(act: () => Promise<Answer>): Promise<Answer> {
  try {
    return await act();
  } catch (error) {
    throw bucketFailed(error);
  }
}

function bucketFailed(error: unknown): ProblemError {
  const why = error instanceof Error ? error.message : String(error);
  return refusal(
    "overloaded",
    `The bucket ARCHIVE could not be reached just now: ${why}. Nothing is lost; try again.`,
  );
}
