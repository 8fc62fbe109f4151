import { stemmer } from "stemmer";
import { irregular, stopWords, synonyms } from "./vocabulary.ts";

/** What a word of a question stands for. */
export interface Concept {
  /** Folded as FTS5's tokenizer folds it. */
  word: string;
  /** The word, and its irregular forms: what the stemmer doesn't bring together. */
  forms: readonly string[];
  /** Words and phrases of about the same meaning; without the word itself. */
  alternatives: readonly string[];
}

/** A question of a thousand characters has more words than a search needs. */
const MOST_CONCEPTS = 40;

/** The words of a text: lower case, without diacritics, as `unicode61 remove_diacritics 2` has them. */
export function wordsOf(text: string): string[] {
  const folded = text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return folded.match(/[\p{L}\p{N}]+/gu) ?? [];
}

export function stemsOf(text: string): string[] {
  return wordsOf(text).map((word) => stemmer(word));
}

const stopStems = new Set(stopWords.flatMap(stemsOf));
const isEmpty = (word: string) =>
  (word.length === 1 && !/\d/.test(word)) || stopStems.has(stemmer(word));

/** Stems, joined by blanks → the groups that have them. */
const groups = new Map<string, string[][]>();
for (const group of synonyms) {
  for (const phrase of group) {
    const key = stemsOf(phrase).join(" ");
    groups.set(key, [...(groups.get(key) ?? []), group]);
  }
}
/** Stem → the forms of its verb. */
const forms = new Map(irregular.flatMap((verb) => verb.map((form) => [stemmer(form), verb])));
const LONGEST_PHRASE = Math.max(...[...groups.keys()].map((key) => key.split(" ").length));

/** What a question asks about: its words without those that say nothing, phrases of the trade as one. */
export function conceptsOf(question: string): Concept[] {
  const words = wordsOf(question);
  const stems = words.map((word) => stemmer(word));
  const concepts = new Map<string, Concept>();
  for (let at = 0; at < words.length;) {
    const { length, key } = longestKnown(stems, at);
    const word = words.slice(at, at + length).join(" ");
    at += length;
    if (length === 1 && isEmpty(word)) continue;
    if (concepts.has(key)) continue;
    const alternatives = new Set(groupsOf(key).flat());
    alternatives.delete(word);
    concepts.set(key, {
      ...{ word, forms: [word, ...(forms.get(key) ?? [])] },
      alternatives: [...alternatives],
    });
    if (concepts.size === MOST_CONCEPTS) break;
  }
  return [...concepts.values()];
}

/** A verb's groups are those of all its forms. */
function groupsOf(key: string): string[][] {
  const keys = [key, ...(forms.get(key) ?? []).map((form) => stemmer(form))];
  return [...new Set(keys.flatMap((one) => groups.get(one) ?? []))];
}

/** The longest phrase of the vocabulary that begins here, else the one word. */
function longestKnown(stems: readonly string[], at: number): { length: number; key: string } {
  for (let length = Math.min(LONGEST_PHRASE, stems.length - at); length > 1; length -= 1) {
    const key = stems.slice(at, at + length).join(" ");
    if (groups.has(key)) return { length, key };
  }
  return { length: 1, key: stems[at]! };
}

/** Phrases as an FTS5 query: any of them. Each is quoted and has letters, digits and blanks alone. */
export function anyOf(phrases: readonly string[]): string {
  return phrases.map((phrase) => `"${wordsOf(phrase).join(" ")}"`).join(" OR ");
}
