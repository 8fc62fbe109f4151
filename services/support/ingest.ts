import { log } from "../../src/contract/log.ts";
import { objectIn } from "../../src/contract/objects.ts";
import { refusal } from "../../src/contract/problem.ts";
import { findRealm, type Realm } from "../../src/contract/realm.ts";
import { giveBack, toProblem } from "../../src/ingress/queue.ts";
import { validate } from "../../src/instance/validate.ts";
import type { SupportEnv } from "./env.ts";
import { MOST_DOCUMENTS, type NewHolding } from "./holdings.ts";
import { passagesOf } from "./passages.ts";
import { checkDocumentId, letter, type Letter } from "./shapes.ts";
import { digest, index, isProduction, type ProductionEnv } from "./vectors.ts";

/** Takes a batch of the queue `support-documents`: each message by itself, whatever meets its neighbours. */
export async function ingest({ messages, queue }: MessageBatch, env: SupportEnv): Promise<void> {
  await Promise.allSettled(
    messages.map(async (message) => {
      try {
        await take(message.body, env);
        message.ack();
      } catch (error) {
        await giveBack(message, queue, toProblem(error), env.DEAD_LETTERS);
      }
    }),
  );
}

/** Every step may be repeated: the library knows the version, the index its keys. */
async function take(body: unknown, env: SupportEnv): Promise<void> {
  const { id, version, document, ...whose } = validate(letter, body, "");
  checkDocumentId(id);
  const realm = findRealm(whose);
  if (realm === null) throw refusal("invalid-body", "The message names no tenant.");
  const holding = document === null ? null : await holdingOf(realm, id, document);
  const library = objectIn(env.LIBRARIES, realm);
  const { outcome, stale } = await library.take(id, version, holding);
  if (outcome === "full") throw tooMany();
  if (outcome === "outdated") {
    log.info("A document came later than its newer version", { tenant: realm.tenant, id, version });
    return;
  }
  if (isProduction(env, realm)) await bringUpToDate(env, realm, holding?.passages ?? [], stale);
  if (stale.length > 0) await library.forget(stale);
}

/**
 * Two versions of a document can be on their way to the index at once. Whoever has written looks once more
 * what the library has by then: either it sees what the other has taken, or the other writes after it.
 */
async function bringUpToDate(
  env: ProductionEnv,
  realm: Realm,
  passages: NewHolding["passages"],
  stale: readonly string[],
): Promise<void> {
  await index(env, realm, passages, stale);
  const own = passages.map(({ key }) => key);
  const kept = await objectIn(env.LIBRARIES, realm).withKeys([...own, ...stale]);
  const live = new Set(kept.map(({ key }) => key));
  const back = kept.filter(({ key }) => !own.includes(key));
  const gone = own.filter((key) => !live.has(key));
  if (back.length + gone.length > 0) await index(env, realm, back, gone);
}

async function holdingOf(
  realm: Realm,
  id: string,
  { title, text }: NonNullable<Letter["document"]>,
): Promise<NewHolding> {
  const passages = passagesOf(text).map(async (passage) => {
    const key = await digest([realm.tenant, realm.jurisdiction ?? null, id, passage.text]);
    return { ...passage, key };
  });
  return { title, hash: await digest([title, text]), passages: await Promise.all(passages) };
}

export function tooMany(): Error {
  return refusal(
    "operation-not-possible",
    `There are ${MOST_DOCUMENTS} documents already. Remove one that isn't needed.`,
  );
}
