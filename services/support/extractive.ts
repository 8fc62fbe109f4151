import type { Source } from "../contracts/support.ts";
import { sentencesOf } from "./passages.ts";
import type { Answerer, Passage } from "./retrieval.ts";
import { conceptsOf, stemsOf, type Concept } from "./words.ts";

const MOST_SOURCES = 3;
/** What a further source must have of the first one's score. */
const WORTH_NAMING = 0.6;
/** Characters of a quote at most, unless one sentence has more. */
const QUOTED = 400;

/** Quotes the best sentences, word for word: nothing is said that isn't written. */
export const extractive: Answerer = {
  answer: async (question, passages) => {
    const [first] = passages;
    const concepts = conceptsOf(question);
    const sources = passages
      .filter(({ score }) => score >= WORTH_NAMING * (first?.score ?? 0))
      .slice(0, MOST_SOURCES)
      .map((passage) => sourceOf(concepts, passage));
    const best = sources[0]!;
    return { answer: `${best.title}: “${best.quote}”`, sources };
  },
};

/** A passage as a source, with the part of it that speaks most of what is asked. */
export function sourceOf(concepts: readonly Concept[], { document, title, text }: Passage): Source {
  return { id: document, title, quote: quoteOf(concepts, text) };
}

function quoteOf(concepts: readonly Concept[], text: string): string {
  const sentences = sentencesOf(text);
  const scores = sentences.map((sentence) => speaksOf(concepts, sentence));
  const best = scores.indexOf(Math.max(...scores));
  let quote = sentences[best] ?? text;
  for (let next = best + 1; next < Math.min(sentences.length, best + 3); next += 1) {
    if (quote.length + sentences[next]!.length > QUOTED) break;
    quote += sentences[next]!;
  }
  return quote.trim();
}

function speaksOf(concepts: readonly Concept[], sentence: string): number {
  const said = ` ${stemsOf(sentence).join(" ")} `;
  const has = (phrase: string) => said.includes(` ${stemsOf(phrase).join(" ")} `);
  return concepts.reduce((score, { forms, alternatives }) => {
    if (forms.some(has)) return score + 1;
    return alternatives.some(has) ? score + 0.6 : score;
  }, 0);
}
