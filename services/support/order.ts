import { isInstanceId } from "../../src/contract/address.ts";
import { ProblemError, refusal } from "../../src/contract/problem.ts";
import { within } from "../../src/contract/within.ts";
import { log } from "../../src/contract/log.ts";
import type { Source } from "../contracts/support.ts";
import type { Asker } from "../contracts/reply.ts";

/** Milliseconds that the orchestrator may take. */
const PATIENCE = 5_000;

/** What is said of an order: sentences of ours, in which the order's own texts stand as quotes. */
export interface OrderFacts {
  text: string;
  source: Source;
}

/**
 * Reads an order in the asker's name; who may see it is for the orchestrator to say. This is the one place
 * that calls it, and it can only read.
 *
 * @returns null where the asker sees no such order, be there one or not
 * @throws ProblemError bad-id, unauthenticated, too-many-requests, neighbour-unavailable
 */
export async function readOrder(
  orchestrator: Fetcher,
  { authorization }: Asker,
  id: string,
): Promise<OrderFacts | null> {
  if (!isInstanceId(id)) {
    const detail = "An order's id has 1 to 200 of A-Z a-z 0-9 . _ ~ -.";
    throw refusal("bad-id", detail, { field: "order" });
  }
  const answer = await get(orchestrator, `/orders/${encodeURIComponent(id)}`, authorization);
  if (answer.status === 200) return factsOf(id, await answer.json());
  // What their tenant has left, and when there is more.
  if (answer.status === 429) throw new ProblemError(await answer.json());
  await answer.body?.cancel();
  if ([403, 404, 410].includes(answer.status)) return null;
  if (answer.status === 401) throw refusal("unauthenticated", "The token is no longer good.");
  throw unavailable();
}

async function get(orchestrator: Fetcher, path: string, authorization: string): Promise<Response> {
  try {
    const asked = orchestrator.fetch(`https://orchestrator${path}`, {
      method: "GET",
      redirect: "manual",
      headers: { Authorization: authorization },
    });
    return await within(asked, PATIENCE, `It took more than ${PATIENCE} ms.`);
  } catch (error) {
    log.error("The orchestrator gave no answer to the support", { error });
    throw unavailable();
  }
}

function unavailable(): Error {
  const detail = "The order could not be looked at just now. Ask again in a moment.";
  return refusal("neighbour-unavailable", detail);
}

interface Shown {
  state?: unknown;
  status?: unknown;
  message?: unknown;
  allowed?: unknown;
  context?: { status?: unknown; items?: unknown; total?: unknown; reason?: unknown };
}

/** @param view as the orchestrator shows it to the asker: what their roles don't see is not in it */
export function factsOf(id: string, view: unknown): OrderFacts {
  const { message, status, allowed, context = {} } = view as Shown;
  const stands = typeof context.status === "string" ? context.status : String(status);
  const sentences = [`Order ${id}: ${stands}.`];
  if (typeof message === "string") sentences.push(plain(message));
  if (Array.isArray(context.items)) sentences.push(itemsSentence(context.items));
  const total = moneyOf(context.total);
  if (total !== null) sentences.push(`The pizzas are ${total} together.`);
  if (typeof context.reason === "string") {
    sentences.push(`The reason noted is: “${plain(context.reason)}”.`);
  }
  const quote = typeof message === "string" ? message : stands;
  if (status === "active" && Array.isArray(allowed)) {
    const isPossible = (allowed as { type?: unknown; guard?: unknown }[]).some(
      ({ type, guard }) => type === "CANCEL_ORDER" && guard !== "fails",
    );
    sentences.push(isPossible ? "It can still be cancelled." : "It can no longer be cancelled.");
  }
  return {
    text: sentences.join(" "),
    source: { id: `orders/${id}`, title: `Your order ${id}`, quote },
  };
}

function itemsSentence(items: readonly unknown[]): string {
  if (items.length === 0) return "There is nothing in it yet.";
  const counts = new Map<string, number>();
  for (const item of items) {
    const { name, pizza } = (item ?? {}) as { name?: unknown; pizza?: unknown };
    const called = plain(typeof name === "string" ? name : String(pizza));
    counts.set(called, (counts.get(called) ?? 0) + 1);
  }
  const list = [...counts].map(([name, count]) => `${count} × “${name}”`);
  return `In it: ${list.join(", ")}.`;
}

/** @param amount in the currency's minor unit, as the catalog has it */
function moneyOf(total: unknown): string | null {
  const { amount, currency } = (total ?? {}) as { amount?: unknown; currency?: unknown };
  if (typeof amount !== "number" || typeof currency !== "string") return null;
  const format = new Intl.NumberFormat("en", { style: "currency", currency });
  const digits = format.resolvedOptions().maximumFractionDigits ?? 2;
  return format.format(amount / 10 ** digits);
}

/** Somebody else's text on one line, with no quotes in it that could end ours. */
function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}]+/gu, " ")
    .replace(/[“”]/g, "'")
    .trim();
}

const MINE = /\b(my|our)\s+(current\s+|last\s+)?(orders?|pizzas?|food|delivery)\b/i;
const NOW =
  /\b(where|status|ready|arriv\w*|happen\w*|going on|how far|on (its|the) way|still|yet|now|when|track|baked|delivered|late)\b/i;

/** Whether a question is plainly about an order of the asker's own. */
export function isAboutOwnOrder(question: string): boolean {
  return MINE.test(question) && NOW.test(question);
}
