import * as v from "valibot";
import { refusal } from "../../src/contract/problem.ts";
import { passagesOf } from "./passages.ts";

/** SQLite's texts end at U+0000, and lone surrogates are no text at all. */
const isText = (text: string) => text.isWellFormed() && !text.includes("\0");
const text = (most: number) =>
  v.pipe(
    v.string(),
    v.check(isText, "must be text, without U+0000 and lone surrogates"),
    v.trim(),
    v.minLength(1),
    v.maxLength(most),
  );

/** Of a document: each is a row of the index. */
const MOST_PASSAGES = 500;

/** What a caller asks. `order` is an id, no path. */
export const question = v.strictObject({
  question: text(1_000),
  order: v.optional(v.string()),
});

/** A document without its id. */
export const newDocument = v.strictObject({
  title: v.pipe(
    text(200),
    v.check((title) => !/\p{Cc}/u.test(title), "must be one line"),
  ),
  text: v.pipe(
    text(50_000),
    v.check((whole) => {
      const { length } = passagesOf(whole);
      return length > 0 && length <= MOST_PASSAGES;
    }, `must have 1 to ${MOST_PASSAGES} paragraphs; headings don't count`),
  ),
});

/** What stands in the queue `support-documents`; `document` is null for a removal. */
export const letter = v.strictObject({
  tenant: v.string(),
  jurisdiction: v.optional(v.nullable(v.string())),
  id: v.string(),
  /** Given out by the realm's library when it was submitted: the higher is the newer. */
  version: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  document: v.nullable(newDocument),
});

export type Letter = v.InferOutput<typeof letter>;

const DOCUMENT_ID = /^[A-Za-z0-9._~-]{1,64}$/;

/** @throws ProblemError bad-id */
export function checkDocumentId(id: string): string {
  if (typeof id === "string" && DOCUMENT_ID.test(id) && id !== "." && id !== "..") return id;
  throw refusal("bad-id", "A document's id has 1 to 64 of A-Z a-z 0-9 . _ ~ -.", { field: "id" });
}
