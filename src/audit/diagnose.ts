import type { Finding } from "../contract/verification.ts";
import type { JournalRow } from "../instance/store.ts";
import type { Seal } from "./seal.ts";

/** An entry that its seal doesn't fit where it stands. */
export interface Suspect {
  /** Without its seal. */
  row: JournalRow;
  seal: string;
  /** Those of the entries around it. */
  seals: string[];
  /** How many of those behind it are still to come. */
  after: number;
}

/** Places that a moved entry is looked for, before and behind the one it stands in. */
const REACH = 4;

/** What has become of entries that don't fit: altered, moved, or pushed on by one that was put before them. */
export function diagnose(suspects: readonly Suspect[], seal: Seal, epoch: number): Finding[] {
  const origins = new Map<number, number | null>();
  for (const suspect of suspects) origins.set(suspect.row.seq, originOf(suspect, seal, epoch));
  const findings: Finding[] = [];
  for (const [seq, origin] of origins) {
    const behind = origins.get(seq + 1);
    if (behind === seq && origin !== seq + 1) {
      const why = `Entry ${seq} was put there; the one behind it was entry ${seq}.`;
      findings.push({ seq, kind: "inserted", detail: why });
    } else if (origin === null && behind === seq + 2) {
      const why = `Entry ${seq} is missing; those behind it were moved up.`;
      findings.push({ seq, kind: "removed", detail: why });
    } else if (origin === null) {
      findings.push({ seq, kind: "altered", detail: `Entry ${seq} is not what was sealed.` });
    } else if (origin !== seq) {
      findings.push({ seq, kind: "reordered", detail: `Entry ${seq} was entry ${origin}.` });
    } else if (!origins.has(seq - 1)) {
      // It is what was sealed, but not after the one that stands before it.
      const why = `Entry ${seq} was sealed behind another entry than the one before it.`;
      findings.push({ seq: seq - 1, kind: "altered", detail: why });
    }
  }
  return findings;
}

/** The place that an entry was sealed for; null where it fits nowhere around. */
function originOf({ row, seal: own, seals }: Suspect, seal: Seal, epoch: number): number | null {
  const befores = [null, ...new Set(seals)];
  for (let distance = 0; distance <= REACH; distance++) {
    for (const seq of new Set([row.seq - distance, row.seq + distance])) {
      if (seq < 1) continue;
      for (const before of befores) {
        if (before === null && seq > 1) continue;
        if (seal.checkEntry(epoch, { ...row, seq }, before, own) === "good") return seq;
      }
    }
  }
  return null;
}
