import { momentAfter, type Moment } from "../kernel/moment.ts";
import type { ArchivedPart } from "./archived-parts.ts";
import type { Identity, JournalRow } from "./store.ts";

/** The first line of a part. */
export interface Header extends ArchivedPart {
  instance: Pick<Identity, "tenant" | "workflow" | "id">;
  epoch: number;
  /** The version that the instance had after the last entry. */
  version: string;
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
 *
 * @param identity as it was after the last entry
 */
export function partText(
  { tenant, workflow, id, epoch, version }: Identity,
  rows: readonly JournalRow[],
  moment: Moment | null,
): string {
  const header: Header = {
    instance: { tenant, workflow, id },
    epoch,
    version,
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
  const { first } = headerOf(text);
  // One line an entry, behind the header; the text ends with a newline.
  const begin = 1 + Math.max(0, after + 1 - first);
  const end = Math.min(begin + limit, lines.length - 1);
  return lines.slice(begin, end).map(rowOf);
}

/** The texts come out as they went in: parsed and written again, they might be others. */
function rowOf(line: string): JournalRow {
  const { seq, at, type, outcome, by } = JSON.parse(line) as Line;
  const texts = membersOf(line);
  const [data = null, state, changes] = ["data", "state", "changes"].map((name) => texts.get(name));
  if (state === undefined || changes === undefined) throw new SyntaxError("A line lacks a member");
  return { seq, at, type, data, outcome, by, state, changes };
}

/** The header of a part. */
export function headerOf(text: string): Header {
  return JSON.parse(text.slice(0, text.indexOf("\n"))) as Header;
}

/** The members of a JSON object, as the texts that they are written with. @param line is JSON */
function membersOf(line: string): Map<string, string> {
  const members = new Map<string, string>();
  let depth = 0;
  let from = 1;
  let name: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const sign = line[at];
    if (sign === '"') at = endOfString(line, at);
    else if (sign === "{" || sign === "[") depth += 1;
    else if (sign === ":" && depth === 1 && name === undefined) {
      name = JSON.parse(line.slice(from, at)) as string;
      from = at + 1;
    } else if ((sign === "," || sign === "}") && depth === 1) {
      if (name !== undefined) members.set(name, line.slice(from, at));
      name = undefined;
      from = at + 1;
    }
    if (sign === "}" || sign === "]") depth -= 1;
  }
  return members;
}

/** Where the string that begins at a quote ends. */
function endOfString(text: string, begin: number): number {
  let at = begin + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

/** What the instance was after an entry. */
export interface MomentThen {
  moment: Moment;
  /** The version that it had. */
  version: string;
  /** Of the entry, in milliseconds since the epoch. */
  at: number;
}

/** What the instance was after an entry of a part; null where that was written by a deployment that kept too little. */
export function momentIn(text: string, seq: number): MomentThen | null {
  const { first, last, moment: before, version } = headerOf(text);
  if (before === null && first > 1) return null;
  const rows = rowsIn(text, first - 1, last - first + 1);
  const until = rows.slice(0, seq - first + 1);
  const moment = momentAfter(before, until);
  if (moment === null) return null;
  const left = rows.slice(until.length).map(versionLeft);
  const next = left.find((version) => version !== null);
  return { moment, version: next ?? version, at: until.at(-1)!.at };
}

/** The version that an entry led away from. */
function versionLeft({ type, data }: JournalRow): string | null {
  if (data === null || !/^durachart\.(migrated|rewound|retried)$/.test(type)) return null;
  return (JSON.parse(data) as { from?: string }).from ?? null;
}
