import { momentAfter, type Moment } from "../kernel/moment.ts";
import type { ArchivedPart } from "./archived-parts.ts";
import type { Identity, JournalRow } from "./store.ts";

/** The first line of a part. */
interface Header extends ArchivedPart {
  instance: Pick<Identity, "tenant" | "workflow" | "id">;
  epoch: number;
  /** The state before the first entry; null where that is the first of the history, or nobody knows. */
  moment: Moment | null;
}

/** A line of a part: an entry, what the journal keeps as JSON text written out. */
interface Line extends Omit<JournalRow, "data" | "state" | "changes"> {
  /** Absent where the event carries no data. */
  data?: unknown;
  state: unknown;
  changes: unknown;
}

/**
 * A part as newline-delimited JSON: the header, then one line an entry. Together they tell the state
 * after each of its entries, without any other part.
 */
export function partText(
  { tenant, workflow, id, epoch }: Identity,
  rows: readonly JournalRow[],
  moment: Moment | null,
): string {
  const header: Header = {
    instance: { tenant, workflow, id },
    epoch,
    first: rows[0]!.seq,
    last: rows.at(-1)!.seq,
    moment,
  };
  return [JSON.stringify(header), ...rows.map(lineOf), ""].join("\n");
}

/** The JSON texts go in as they are: nothing is lost, and nothing parsed. */
function lineOf({ seq, at, type, data, outcome, by, state, changes }: JournalRow): string {
  const head = JSON.stringify({ seq, at, type, outcome, by }).slice(0, -1);
  return `${head}${data === null ? "" : `,"data":${data}`},"state":${state},"changes":${changes}}`;
}

/**
 * Entries of a part, as they stood in the journal.
 *
 * @param after those with a larger seq
 */
export function rowsIn(text: string, after: number, limit: number): JournalRow[] {
  const lines = text.split("\n");
  const { first } = JSON.parse(lines[0]!) as Header;
  // One line an entry, behind the header; the text ends with a newline.
  const begin = 1 + Math.max(0, after + 1 - first);
  const end = Math.min(begin + limit, lines.length - 1);
  return lines.slice(begin, end).map((line) => {
    const { data, state, changes, ...row } = JSON.parse(line) as Line;
    return {
      ...row,
      data: data === undefined ? null : JSON.stringify(data),
      state: JSON.stringify(state),
      changes: JSON.stringify(changes),
    };
  });
}

/** The state after an entry of a part; null where it was written by a deployment that kept too little. */
export function momentIn(text: string, seq: number): Moment | null {
  const { first, moment } = JSON.parse(text.slice(0, text.indexOf("\n"))) as Header;
  if (moment === null && first > 1) return null;
  return momentAfter(moment, rowsIn(text, first - 1, seq - first + 1));
}
