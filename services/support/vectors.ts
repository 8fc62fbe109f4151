import { objectIn } from "../../src/contract/objects.ts";
import type { Realm } from "../../src/contract/realm.ts";
import type { SupportEnv } from "./env.ts";
import type { Found, Retrieval } from "./retrieval.ts";

/** Multilingual, 1,024 numbers a vector: the index must be made with so many, and "cosine". */
const EMBEDDING = "@cf/baai/bge-m3";
/** Texts that one call embeds. */
const AT_ONCE = 50;
const MOST_FOUND = 8;
/** The least cosine of an answer. Never measured: this ran against a fake only. */
const ENOUGH = 0.55;

export type ProductionEnv = Required<SupportEnv>;

/**
 * Whether Workers AI and Vectorize are bound, and may be used for a realm: they know no jurisdiction, so
 * what must stay in one is searched where it lies.
 */
export function isProduction(env: SupportEnv, realm: Realm): env is ProductionEnv {
  const isFree = realm.jurisdiction === undefined || realm.jurisdiction === null;
  return isFree && env.AI !== undefined && env.DOCUMENT_VECTORS !== undefined;
}

/**
 * By meaning: Workers AI's embeddings in Vectorize. The index holds vectors and keys alone; the texts are the
 * library's, so that a vector that was left over finds nothing.
 */
export function byMeaning(env: ProductionEnv): Retrieval {
  return {
    search: async (realm, question): Promise<Found> => {
      const [vector] = await embed(env, [question]);
      const namespace = await namespaceOf(realm);
      const { matches } = await env.DOCUMENT_VECTORS.query(vector!, {
        ...{ topK: MOST_FOUND, namespace },
      });
      const scores = new Map(matches.map(({ id, score }) => [id, score]));
      const found = await objectIn(env.LIBRARIES, realm).withKeys([...scores.keys()]);
      const ranked = found
        .map(({ key, ...passage }) => ({ ...passage, score: scores.get(key)! }))
        .toSorted((one, other) => other.score - one.score);
      const documents = new Set<string>();
      const passages = ranked.filter(({ document }) => {
        if (documents.has(document)) return false;
        documents.add(document);
        return true;
      });
      return { isKnown: (passages[0]?.score ?? 0) >= ENOUGH, passages };
    },
  };
}

/** Brings the index up to a document that the library has taken. May be said again. */
export async function index(
  env: ProductionEnv,
  realm: Realm,
  passages: readonly { key: string; text: string }[],
  stale: readonly string[],
): Promise<void> {
  const namespace = await namespaceOf(realm);
  const unique = [...new Map(passages.map((passage) => [passage.key, passage])).values()];
  for (let at = 0; at < unique.length; at += AT_ONCE) {
    const some = unique.slice(at, at + AT_ONCE);
    const vectors = await embed(
      env,
      some.map(({ text }) => text),
    );
    await env.DOCUMENT_VECTORS.upsert(
      some.map(({ key }, number) => ({ id: key, namespace, values: vectors[number]! })),
    );
  }
  for (let at = 0; at < stale.length; at += AT_ONCE) {
    await env.DOCUMENT_VECTORS.deleteByIds(stale.slice(at, at + AT_ONCE));
  }
}

async function embed(env: ProductionEnv, text: string[]): Promise<number[][]> {
  const answer = (await env.AI.run(EMBEDDING, { text })) as { data?: number[][] };
  if (answer.data?.length !== text.length) {
    throw new Error(`${EMBEDDING} gave ${answer.data?.length ?? "no"} vectors for ${text.length}.`);
  }
  return answer.data;
}

/** A realm's part of the index: at most 64 bytes, as Vectorize has it. */
function namespaceOf({ tenant }: Realm): Promise<string> {
  return digest([tenant]);
}

/** SHA-256 in hexadecimal of a list of texts, each kept apart from the next. */
export async function digest(parts: readonly (string | null)[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(parts));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
