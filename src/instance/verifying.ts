import { Chain } from "../audit/chain.ts";
import { Replay } from "../audit/replay.ts";
import type { ListedHead, Verification } from "../contract/verification.ts";
import type { Moment } from "../kernel/moment.ts";
import { headerOf, rowsIn, type Header } from "./archive-format.ts";
import type { ArchivedPart } from "./archived-parts.ts";
import { readStored } from "./live.ts";
import type { Identity, JournalRow, Store } from "./store.ts";
import { sealedAs, sealedPart, type Tombstone } from "./tombstone.ts";
import { verifyWaiting } from "./verify-waiting.ts";

/** Entries looked at before somebody else has a turn. */
const PAGE = 500;

/** Gives a part of the archive as it is stored; null where it is gone. */
export type ReadPart = (identity: Identity, part: ArchivedPart) => Promise<string | null>;

/**
 * Goes through a whole journal, the archived part too: whether every entry is what was sealed and
 * follows the one before, and whether the states that are kept are what the entries say. Events may come
 * meanwhile. Nothing is written.
 *
 * @param listed what the list was told of the instance, before this began
 * @throws ProblemError where the archive can't be reached
 */
export async function verifyJournal(
  store: Store,
  readPart: ReadPart,
  listed: ListedHead | null,
): Promise<Verification> {
  for (;;) {
    const found = await new Walk(store, readPart, listed).through();
    if (found !== null) return found;
  }
}

/** One way through the journal, from its first entry to its last. */
class Walk {
  readonly #store: Store;
  readonly #readPart: ReadPart;
  readonly #identity: Identity;
  readonly #chain: Chain;
  readonly #replay = new Replay();
  #archived = 0;

  constructor(store: Store, readPart: ReadPart, listed: ListedHead | null) {
    this.#store = store;
    this.#readPart = readPart;
    this.#identity = store.identity();
    const { epoch } = this.#identity;
    this.#chain = new Chain({ seal: store.sealing.of(this.#identity), epoch, listed });
  }

  /** Null where the history has begun again, or was archived from under it: then it is gone through anew. */
  async through(): Promise<Verification | null> {
    const { archived } = this.#store;
    while (this.#chain.to < archived.through()) {
      if (!(await this.#archivedPart())) return null;
    }
    const through = archived.through();
    for (const { seq } of this.#store.journal(0, 1)) {
      if (seq > through) continue;
      this.#chain.find(seq, "inserted", `Entry ${seq} is archived, and stands in the journal too.`);
    }
    for (;;) {
      if (!this.#isStill() || this.#store.archived.through() !== through) return null;
      const rows = this.#store.journal(Math.max(this.#chain.to, through), PAGE);
      this.#add(rows, this.#moments(rows));
      // No await from the last page on: nothing happens between it and the state.
      if (rows.length < PAGE) return this.#finish();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  async #archivedPart(): Promise<boolean> {
    const next = this.#chain.to + 1;
    const { archived } = this.#store;
    let part: ArchivedPart;
    try {
      part = archived.holding(next);
    } catch {
      part = { first: 0, last: 0 };
    }
    if (part.first !== next || part.last < next) {
      this.#chain.find(next, "archive", `No archived part begins with entry ${next}.`);
      this.#skipTo(archived.through());
      return this.#isStill();
    }
    const text = await this.#readPart(this.#identity, part);
    if (!this.#isStill()) return false;
    let header: Header;
    let rows: JournalRow[];
    try {
      if (text === null) throw new Error("it is gone");
      header = headerOf(text);
      rows = rowsIn(text, part.first - 1, part.last - part.first + 1);
      if (rows.at(-1)?.seq !== part.last) throw new Error("it doesn't end as it should");
    } catch (error) {
      const why = `The archived part ${part.first}–${part.last} can't be read: ${(error as Error).message}.`;
      this.#chain.find(part.first, "archive", why);
      this.#skipTo(part.last);
      return true;
    }
    this.#compareHeader(header, part);
    this.#archived += rows.length;
    this.#add(rows, this.#moments(rows));
    return true;
  }

  /** What can't be looked at is told already; what follows it is looked at all the same. */
  #skipTo(seq: number): void {
    this.#chain.skipTo(seq);
    this.#replay.lose();
  }

  #compareHeader({ instance, epoch, moment, first }: Header, part: ArchivedPart): void {
    const { tenant, workflow, id, epoch: mine } = this.#identity;
    const isMine =
      instance.tenant === tenant && instance.workflow === workflow && instance.id === id;
    if (!isMine || epoch !== mine || first !== part.first) {
      const why = `The archived part ${part.first}–${part.last} says that it is of something else.`;
      this.#chain.find(part.first, "archive", why);
    }
    if (moment !== null) this.#compareMoment(part.first - 1, moment);
  }

  /** The states that are kept whole after some of these entries. */
  #moments(rows: readonly JournalRow[]): number[] {
    const [first] = rows;
    const last = rows.at(-1);
    if (first === undefined || last === undefined) return [];
    return this.#store.moments.seqs().filter((seq) => seq >= first.seq && seq <= last.seq);
  }

  #add(rows: readonly JournalRow[], moments: readonly number[]): void {
    let from = 0;
    for (const seq of moments) {
      const until = rows.findIndex((row) => row.seq > seq);
      this.#follow(rows.slice(from, until === -1 ? rows.length : until));
      from = until === -1 ? rows.length : until;
      this.#compareKept(seq);
    }
    this.#follow(rows.slice(from));
  }

  #follow(rows: readonly JournalRow[]): void {
    let isGood = true;
    for (const row of rows) if (!this.#chain.add(row)) isGood = false;
    if (isGood) this.#replay.add(rows);
    else this.#replay.lose();
  }

  #compareKept(seq: number): void {
    let kept: Moment | null;
    try {
      kept = this.#store.moments.kept(seq);
    } catch {
      this.#chain.find(
        seq,
        "moment",
        `What is kept of the state after entry ${seq} can't be read.`,
      );
      return;
    }
    if (kept !== null) this.#compareMoment(seq, kept);
  }

  #compareMoment(seq: number, kept: Moment): void {
    const differences = this.#replay.differences(kept);
    if (differences.length > 0) {
      const why = `The state that is kept after entry ${seq} is not what the journal says: ${listOf(differences)}.`;
      this.#chain.find(seq, "moment", why);
    }
    this.#replay.adopt(kept);
  }

  #finish(): Verification {
    const { seq, head } = this.#store.state();
    this.#compareState();
    try {
      verifyWaiting(this.#store, this.#chain);
    } catch {
      this.#chain.find(seq, "state", "The events that wait can't be read.");
    }
    for (const kept of this.#store.moments.seqs()) {
      if (kept <= seq) continue;
      this.#chain.find(kept, "moment", `A state is kept after entry ${kept}, which is not there.`);
    }
    return this.#chain.finish({ seq, head }, this.#archived);
  }

  #compareState(): void {
    let differences: string[];
    try {
      const { machine, actors, timers, paused } = readStored(this.#store);
      const all = [...timers, ...this.#store.timers.all()];
      const { version } = this.#store.identity();
      differences = [
        ...this.#replay.differences({ machine, actors, timers: all }),
        ...this.#replay.differencesBeside({ paused, version }),
      ];
    } catch {
      differences = ["it can't be read"];
    }
    if (differences.length === 0) return;
    const why = `The present state is not what the journal says: ${listOf(differences)}.`;
    this.#chain.find(this.#chain.to, "state", why);
  }

  /** Whether the history is the one that it was. */
  #isStill(): boolean {
    if (!this.#store.exists()) return false;
    const { epoch, createdAt } = this.#store.identity();
    return epoch === this.#identity.epoch && createdAt === this.#identity.createdAt;
  }
}

/** Whether what is left of an erased instance is what was left. */
export function verifyTombstone(
  store: Store,
  tombstone: Tombstone,
  listed: ListedHead | null,
): Verification {
  const { epoch, seal } = tombstone;
  const chain = new Chain({ seal: null, epoch, listed: null });
  const sealing = store.sealing.of(sealedAs(tombstone));
  if (seal !== null && sealing !== null) {
    const checked = sealing.checkFields("tombstone", sealedPart(tombstone), seal);
    if (checked === "bad") {
      chain.find(0, "tombstone", "The tombstone is not what was sealed.");
    } else if (checked === "unknown-key") {
      chain.find(0, checked, "The tombstone is sealed with a key that this deployment has not.");
    }
  }
  if (listed !== null && listed.epoch > epoch + 1) {
    chain.find(0, "cut-off", `The list was told of epoch ${listed.epoch}; erased was ${epoch}.`);
  }
  const found = chain.finish({ seq: 0, head: null }, 0);
  const isIntact = found.status === "unprotected" && seal !== null && sealing !== null;
  return { ...found, listed, head: seal, ...(isIntact ? { status: "intact" as const } : {}) };
}

const SHOWN = 10;

function listOf(differences: readonly string[]): string {
  const more = differences.length > SHOWN ? ` and ${differences.length - SHOWN} more` : "";
  return differences.slice(0, SHOWN).join(", ") + more;
}
