import { WorkerEntrypoint } from "cloudflare:workers";
import { log } from "../../src/contract/log.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { refusal } from "../../src/contract/problem.ts";
import { realmOf, type Realm } from "../../src/contract/realm.ts";
import { validate } from "../../src/instance/validate.ts";
import type { Asker, Reply } from "../contracts/reply.ts";
import type {
  Question,
  SupportAnswer,
  SupportCalls,
  SupportDocument,
} from "../contracts/support.ts";
import { replying } from "../replying.ts";
import { requireStaff } from "../staff.ts";
import type { SupportEnv } from "./env.ts";
import { extractive } from "./extractive.ts";
import { generative } from "./generative.ts";
import { ingest, tooMany } from "./ingest.ts";
import { MOST_QUESTIONS } from "./library.ts";
import { isAboutOwnOrder, readOrder } from "./order.ts";
import type { Retrieval } from "./retrieval.ts";
import { checkDocumentId, newDocument, question } from "./shapes.ts";
import { byMeaning, isProduction } from "./vectors.ts";

export { Library } from "./library.ts";

const WHERE = "support";

/** Bytes of a message in the queue; the platform takes 128 KB. */
const MOST_BYTES = 120_000;

/** What the gateway may ask. It has verified who is asking; what they may do is looked at here. */
export class Support extends WorkerEntrypoint<SupportEnv> implements SupportCalls {
  ask(asker: Asker, asked: Question): Promise<Reply<SupportAnswer>> {
    return replying(WHERE, async () => {
      const { question: text, order } = validate(question, asked, "");
      const realm = realmOf(asker.caller);
      await admit(this.env, realm, asker.caller.subject);
      if (order === undefined) return fromDocuments(this.env, realm, text);
      const facts = await readOrder(this.env.ORCHESTRATOR, asker, order);
      if (facts === null) return unknown("I know no such order of yours.");
      // The order says it best; what else is asked the documents may know.
      const more = isAboutOwnOrder(text)
        ? unknown("Nothing more.")
        : await answerOf(this.env, realm, text);
      return {
        known: true,
        answer: more.known ? `${facts.text}\n\n${more.answer}` : facts.text,
        sources: [facts.source, ...more.sources],
      };
    });
  }

  documents({ caller }: Asker): Promise<Reply<Pick<SupportDocument, "id" | "title">[]>> {
    return replying(WHERE, async () => {
      requireStaff(caller, "care of the support's documents");
      return objectIn(this.env.LIBRARIES, realmOf(caller)).documents();
    });
  }

  submit(
    { caller }: Asker,
    id: string,
    document: Omit<SupportDocument, "id"> | null,
  ): Promise<Reply<null>> {
    return replying(WHERE, async () => {
      requireStaff(caller, "care of the support's documents");
      checkDocumentId(id);
      const valid = document === null ? null : validate(newDocument, document, "");
      const { tenant, jurisdiction } = realmOf(caller);
      const whose = { tenant, ...(jurisdiction ? { jurisdiction } : {}) };
      const letter = { ...whose, id, version: Number.MAX_SAFE_INTEGER, document: valid };
      if (new TextEncoder().encode(JSON.stringify(letter)).byteLength > MOST_BYTES) {
        throw refusal("body-too-large", `As JSON it may have at most ${MOST_BYTES} bytes.`);
      }
      const library = objectIn(this.env.LIBRARIES, realmOf(caller));
      const version = await library.claim(id, valid === null);
      if (version === null) throw tooMany();
      await this.env.SUPPORT_DOCUMENTS.send({ ...letter, version }, { contentType: "json" });
      return null;
    });
  }
}

export default {
  /** Nothing is served over HTTP: the Worker has no address of its own. */
  fetch: (): Response => new Response(null, { status: 404 }),

  queue: (batch: MessageBatch, env: SupportEnv): Promise<void> => ingest(batch, env),
};

/** @throws ProblemError too-many-requests */
async function admit(env: SupportEnv, realm: Realm, subject: string): Promise<void> {
  const seconds = await objectIn(env.LIBRARIES, realm).admit(subject);
  if (seconds === 0) return;
  const limit = { name: "questions", quota: MOST_QUESTIONS, window: 60, remaining: 0 };
  throw refusal(
    "too-many-requests",
    `The support takes ${MOST_QUESTIONS} questions a minute of one caller. Ask again in ${seconds} s.`,
    { limit: { ...limit, reset: seconds }, retryAfter: seconds },
  );
}

async function fromDocuments(env: SupportEnv, realm: Realm, text: string): Promise<SupportAnswer> {
  const answered = await answerOf(env, realm, text);
  if (!isAboutOwnOrder(text)) return answered;
  const hint = "To look at an order of yours I need its id: ask again with it as “order”.";
  return { ...answered, answer: `${answered.answer}\n\n${hint}` };
}

async function answerOf(env: SupportEnv, realm: Realm, text: string): Promise<SupportAnswer> {
  const { isKnown, passages } = await search(env, realm, text);
  if (!isKnown) return unknown("I don't know: nothing in the shop's documents answers that.");
  const answerer = isProduction(env, realm) ? generative(env) : extractive;
  return { known: true, ...(await answerer.answer(text, passages)) };
}

/** By meaning where that is bound; where it fails, by words: the documents are here. */
async function search(env: SupportEnv, realm: Realm, text: string) {
  const byWords: Retrieval = {
    search: (whose, asked) => objectIn(env.LIBRARIES, whose).search(asked),
  };
  if (!isProduction(env, realm)) return byWords.search(realm, text);
  try {
    return await byMeaning(env).search(realm, text);
  } catch (error) {
    log.error("Workers AI or Vectorize gave no answer; searched by words", { error });
    return byWords.search(realm, text);
  }
}

function unknown(answer: string): SupportAnswer {
  return { known: false, answer, sources: [] };
}
