import { refusal } from "../../src/contract/problem.ts";

/**
 * What a person typed, as an expression of FTS5 in which nothing of it is syntax: every word must be there,
 * of the last one its beginning. Diacritics and case are the tokenizer's.
 *
 * @returns null where there is no word in it
 */
export function matching(text: string): string | null {
  const words = text.normalize("NFC").match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu);
  return words === null ? null : `${words.map((word) => `"${word}"`).join(" AND ")} *`;
}

/** Where a page has ended: `rank` 0 for those whose name has the words, 1 for the rest; then by id. */
export interface Place {
  rank: number;
  id: string;
}

/** Opaque to whoever gets it. */
export function cursorAt({ rank, id }: Place): string {
  return btoa(`${rank} ${id}`).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** @throws ProblemError bad-parameter where it is none that `cursorAt` has made */
export function placeOf(cursor: string): Place {
  let text = "";
  try {
    text = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  } catch {
    // It is refused below.
  }
  const [, rank, id] = /^([01]) ([A-Za-z0-9._~-]{1,64})$/.exec(text) ?? [];
  if (rank !== undefined && id !== undefined) return { rank: Number(rank), id };
  const detail = "after must be what the page before has given as next.";
  throw refusal("bad-parameter", detail, { field: "after" });
}
