import type { Finding, ListedHead, ProblemKind, Verification } from "../contract/verification.ts";
import type { JournalRow } from "../instance/store.ts";
import { diagnose, type Suspect } from "./diagnose.ts";
import { splitSeal, type Seal } from "./seal.ts";

/** Findings that an answer holds. */
const MAX_FINDINGS = 100;

/** Entries before and after one that doesn't fit, by whose seals it is looked where it belongs. */
const NEIGHBOURS = 4;

/** Entries that are looked at so closely. */
const MAX_SUSPECTS = 20;

export interface ChainOptions {
  /** Null where there is no key: then only the numbers can be looked at. */
  seal: Seal | null;
  epoch: number;
  listed: ListedHead | null;
}

/** Follows the chain of seals through a journal, entry by entry, oldest first. */
export class Chain {
  readonly #options: ChainOptions;
  readonly #findings: Finding[] = [];
  readonly #suspects: Suspect[] = [];
  /** The seals of the last few entries, the newest last. */
  readonly #recent: string[] = [];
  #from: number | null = null;
  #to = 0;
  #entries = 0;
  /** The last seal; undefined behind entries that are missing. */
  #head: string | null | undefined = null;
  /** The last seal that any entry has. */
  #lastSeal: string | null = null;
  #isListedMet = false;

  constructor(options: ChainOptions) {
    this.#options = options;
  }

  /** The last entry that was looked at. */
  get to(): number {
    return this.#to;
  }

  /** @returns whether nothing speaks against the entry */
  add(stored: JournalRow): boolean {
    const { epoch } = this.#options;
    const before = this.#findings.length + this.#suspects.length;
    if (stored.seq > this.#to + 1) {
      const which = entriesText(this.#to + 1, stored.seq - 1);
      this.find(this.#to + 1, "removed", `${which} missing.`);
      this.#head = undefined;
    } else if (stored.seq <= this.#to) {
      this.find(stored.seq, "inserted", `There is another entry ${stored.seq}.`);
    }
    this.#to = stored.seq;
    this.#entries += 1;
    const { changes, seal } = splitSeal(stored.changes);
    const row = { ...stored, changes };
    this.#compareWithList(row, seal);
    if (stored.seq === 1) this.#compareWithEpochBefore(row);
    for (const suspect of this.#suspects) {
      if (suspect.after > 0 && seal !== null) suspect.seals.push(seal);
      suspect.after -= 1;
    }
    if (seal === null) {
      if (this.#from !== null) {
        const why = `Entry ${row.seq} has no seal: it was written without a key, or by somebody else.`;
        this.find(row.seq, "unsealed", why);
      }
    } else {
      this.#from ??= row.seq;
      this.#check(row, seal, epoch);
      this.#head = seal;
      this.#lastSeal = seal;
      this.#recent.push(seal);
      if (this.#recent.length > NEIGHBOURS) this.#recent.shift();
    }
    return this.#findings.length + this.#suspects.length === before;
  }

  find(seq: number, kind: ProblemKind, detail: string): void {
    if (this.#findings.length < MAX_FINDINGS) this.#findings.push({ seq, kind, detail });
  }

  /** Goes on behind entries that can't be looked at. */
  skipTo(seq: number): void {
    this.#to = seq;
    this.#head = undefined;
  }

  /**
   * Everything was looked at.
   *
   * @param state what the instance says of its last entry
   * @param archived how many of the entries were
   */
  finish(state: { seq: number; head: string | null }, archived: number): Verification {
    const { seal, epoch, listed } = this.#options;
    if (state.seq > this.#to) {
      const which = entriesText(this.#to + 1, state.seq);
      this.find(this.#to, "cut-off", `${which} missing at the end.`);
    } else if (state.seq < this.#to) {
      const which = entriesText(state.seq + 1, this.#to);
      const why = `The state is that of entry ${state.seq}; what stands behind it is of somebody else: ${which} too many.`;
      this.find(state.seq + 1, "inserted", why);
    } else if (state.head !== this.#lastSeal) {
      const why = "The state row names another seal than the last entry has.";
      this.find(this.#to, this.#lastSeal === null ? "unsealed" : "cut-off", why);
    }
    if (listed !== null) this.#compareEnds(listed, epoch);
    if (seal !== null) this.#findings.push(...diagnose(this.#suspects, seal, epoch));
    const problems = this.#findings.toSorted((a, b) => a.seq - b.seq).slice(0, MAX_FINDINGS);
    const isProtected = seal !== null && this.#from !== null;
    return {
      status: problems.length > 0 ? "broken" : isProtected ? "intact" : "unprotected",
      ...{ epoch, from: this.#from, to: this.#to, head: this.#lastSeal },
      ...{ entries: this.#entries, archived, listed, problems },
    };
  }

  #check(row: JournalRow, seal: string, epoch: number): void {
    const keyring = this.#options.seal;
    // Behind missing entries nobody can say what it was sealed with.
    if (keyring === null || this.#head === undefined) return;
    const checked = keyring.checkEntry(epoch, row, this.#head, seal);
    if (checked === "good") return;
    if (checked === "unknown-key") {
      const name = seal.slice(0, Math.max(0, seal.indexOf(".")));
      this.find(row.seq, checked, `Entry ${row.seq} is sealed with a key "${name}".`);
    } else if (this.#suspects.length < MAX_SUSPECTS) {
      this.#suspects.push({ row, seal, seals: [...this.#recent], after: NEIGHBOURS });
    } else {
      this.find(row.seq, "altered", `Entry ${row.seq} is not what was sealed.`);
    }
  }

  #compareWithList({ seq }: JournalRow, seal: string | null): void {
    const { listed, epoch } = this.#options;
    if (listed?.epoch !== epoch || listed.seq !== seq) return;
    this.#isListedMet = true;
    if (listed.head === null || listed.head === seal) return;
    const why = `The list was told another seal of entry ${seq}: the history was written anew.`;
    this.find(seq, seal === null ? "unsealed" : "altered", why);
  }

  /** The first entry of an epoch tells how the one before it has ended. */
  #compareWithEpochBefore({ type, data }: JournalRow): void {
    const { listed, epoch } = this.#options;
    if (listed?.epoch !== epoch - 1 || type !== "durachart.continued" || data === null) return;
    let ended: { seq?: unknown; head?: unknown };
    try {
      ended = JSON.parse(data) as typeof ended;
    } catch {
      return;
    }
    const isOther = listed.seq === ended.seq && listed.head !== null && listed.head !== ended.head;
    if (!isOther && listed.seq <= Number(ended.seq)) return;
    this.find(
      1,
      "altered",
      `The list was told of epoch ${listed.epoch} what this one doesn't know.`,
    );
  }

  #compareEnds(listed: ListedHead, epoch: number): void {
    if (listed.epoch > epoch) {
      const why = `The list was told of epoch ${listed.epoch}; this is ${epoch}: an older copy was put in its place.`;
      this.find(this.#to, "cut-off", why);
    } else if (listed.epoch === epoch && listed.seq > this.#to) {
      const why = `The list was told of entry ${listed.seq}: what came after ${this.#to} is gone.`;
      this.find(this.#to, "cut-off", why);
    } else if (listed.epoch === epoch && listed.seq > 0 && !this.#isListedMet) {
      this.find(listed.seq, "removed", `Entry ${listed.seq}, of which the list was told, is gone.`);
    }
  }
}

function entriesText(first: number, last: number): string {
  return first === last ? `Entry ${first} is` : `Entries ${first} to ${last} are`;
}
