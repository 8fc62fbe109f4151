/** Where a concept was found: passages by number, with BM25's relevance; larger is better. */
export interface ConceptHits {
  own: ReadonlyMap<number, number>;
  alternatives: ReadonlyMap<number, number>;
}

export interface Ranked {
  document: string;
  /** The number of its best passage. */
  passage: number;
  score: number;
  /** From 0 to 1: how much of what the question asks about the document speaks of. */
  coverage: number;
}

/** What another word for it counts, beside the word itself. */
const ALTERNATIVE = 0.65;
/** What counts that stands elsewhere in the document. */
const ELSEWHERE = 0.5;
/** What a word counts that no document has, beside the rarest that one has. */
const UNHEARD_OF = 0.75;
/** What BM25 decides; the rest is whether a concept is there at all. */
const BY_RELEVANCE = 0.4;
/** The relevance that counts half. */
const HALF = 3;

/** A concept with what finding it is worth. */
interface Weighed extends ConceptHits {
  ofOwn: number;
  ofAlternatives: number;
  most: number;
}

/**
 * Ranks documents by their best passage, and by what the rest of them adds.
 *
 * @param documentOf whose a passage is
 * @param total how many documents there are
 */
export function rank(
  concepts: readonly ConceptHits[],
  documentOf: ReadonlyMap<number, string>,
  total: number,
): Ranked[] {
  const weighed = concepts.map((hits) => weigh(hits, documentOf, total));
  const wholeWeight = weighed.reduce((whole, { most }) => whole + most, 0);
  const passagesOf = Map.groupBy(documentOf.keys(), (passage) => documentOf.get(passage)!);
  const ranked = [...passagesOf].map(([document, passages]): Ranked => {
    const scored = passages.map((passage) => ({
      passage,
      score: sum(weighed, (concept) => relevance(concept, passage)),
    }));
    const best = scored.reduce((one, other) => (other.score > one.score ? other : one));
    const anywhere = sum(weighed, (concept) =>
      Math.max(...passages.map((passage) => relevance(concept, passage))),
    );
    const covered = sum(weighed, (concept) => {
      const there = Math.max(...passages.map((passage) => presence(concept, passage)));
      return Math.max(presence(concept, best.passage), ELSEWHERE * there);
    });
    return {
      document,
      passage: best.passage,
      score: (1 - ELSEWHERE) * best.score + ELSEWHERE * anywhere,
      coverage: wholeWeight === 0 ? 0 : Math.min(1, covered / wholeWeight),
    };
  });
  return ranked.toSorted((one, other) => other.score - one.score);
}

const sum = (concepts: readonly Weighed[], valueOf: (concept: Weighed) => number) =>
  concepts.reduce((total, concept) => total + valueOf(concept), 0);

/** What it is worth that a concept stands in a passage. */
function presence({ own, alternatives, ...worth }: Weighed, passage: number): number {
  return Math.max(
    own.has(passage) ? worth.ofOwn : 0,
    alternatives.has(passage) ? worth.ofAlternatives : 0,
  );
}

/** As `presence`, more where it stands often, in a short passage, or in the title. */
function relevance(concept: Weighed, passage: number): number {
  const found = Math.max(
    concept.own.get(passage) ?? 0,
    ALTERNATIVE * (concept.alternatives.get(passage) ?? 0),
  );
  const degree = found / (found + HALF);
  return presence(concept, passage) * (1 - BY_RELEVANCE + BY_RELEVANCE * degree);
}

function weigh(hits: ConceptHits, documentOf: ReadonlyMap<number, string>, total: number): Weighed {
  const { own, alternatives } = hits;
  const rarityOf = (found: ReadonlyMap<number, number>) =>
    rarity(new Set([...found.keys()].map((passage) => documentOf.get(passage))).size, total);
  if (own.size === 0 && alternatives.size === 0) {
    return { ...hits, ofOwn: 0, ofAlternatives: 0, most: UNHEARD_OF * rarity(0, total) };
  }
  const ofOwn = own.size === 0 ? 0 : rarityOf(own);
  const ofAlternatives = alternatives.size === 0 ? 0 : ALTERNATIVE * rarityOf(alternatives);
  return { ...hits, ofOwn, ofAlternatives, most: Math.max(ofOwn, ofAlternatives) };
}

/** The rarer a concept, the more the question is about it (inverse document frequency, as BM25 has it). */
function rarity(count: number, total: number): number {
  return Math.log(1 + (total - count + 0.5) / (count + 0.5));
}
