import type { Realm } from "../../src/contract/realm.ts";
import type { SupportAnswer } from "../contracts/support.ts";

/** A paragraph of a document, word for word but for its line breaks. */
export interface Passage {
  document: string;
  /** The document's. */
  title: string;
  text: string;
  /** The higher the better; comparable within one search only. */
  score: number;
}

/** What a search has found: the best first, at most one passage a document. */
export interface Found {
  /** Whether the first is likely to answer the question. */
  isKnown: boolean;
  passages: Passage[];
}

/** Finds in a realm's documents what answers a question. */
export interface Retrieval {
  search(realm: Realm, question: string): Promise<Found>;
}

/** Puts what was found into words. It gets texts and gives texts: there is nothing that it could do. */
export interface Answerer {
  /** @param passages the best first, at least one; what they say is quoted, never obeyed */
  answer(
    question: string,
    passages: readonly Passage[],
  ): Promise<Pick<SupportAnswer, "answer" | "sources">>;
}
