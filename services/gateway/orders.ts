import { problem, ProblemError } from "../../src/contract/problem.ts";
import { saidBy, within } from "../../src/contract/within.ts";
import { log } from "../../src/contract/log.ts";
import type { Product } from "../contracts/catalog.ts";
import type { RoomSummary } from "../contracts/chat.ts";
import type { Reply } from "../contracts/reply.ts";
import { granted } from "../replying.ts";
import { passedTo } from "./answers.ts";
import type { ApiRequest, PartOf } from "./api.ts";

/** Milliseconds that a neighbour may take for its part of an answer. */
const PATIENCE = 3_000;

/** An order with what its neighbours have about it. */
interface WholeOrder {
  /** As the orchestrator shows it to who asks. */
  order: unknown;
  /** The products that its items are, each once, with their pictures. */
  products: PartOf<Product[]>;
  chat: PartOf<RoomSummary>;
}

/**
 * `GET /api/orders/{id}`: the order with its products, their pictures and its chat room. All else below
 * `/api/orders` is the orchestrator's `/orders`, its WebSockets too.
 */
export async function orders(api: ApiRequest): Promise<Response> {
  const { request, url, path, env } = api;
  const pathname = url.pathname.replace(/^\/api/, "");
  const answer = await passedTo(env.ORCHESTRATOR, request, url, pathname);
  const [id, ...rest] = path;
  const isWhole = request.method === "GET" && id !== undefined && id !== "" && rest.length === 0;
  // Who may not see the order is told so by the orchestrator, and its neighbours aren't asked.
  if (!isWhole || answer.status !== 200) return answer;
  const order: unknown = await answer.json();
  const whole: WholeOrder = { order, ...(await neighboursOf(api, id, order)) };
  return Response.json(whole);
}

async function neighboursOf({ asker, env }: ApiRequest, id: string, order: unknown) {
  const [products, chat] = await Promise.all([
    part("catalog", env.CATALOG?.products(asker, productsIn(order))),
    part("chat", env.CHAT?.summary(asker, `orders/${id}`)),
  ]);
  return { products, chat };
}

function productsIn(order: unknown): string[] {
  const { items } = (order as { context?: { items?: { pizza: string }[] } }).context ?? {};
  return [...new Set(items?.map(({ pizza }) => pizza))];
}

/** What a neighbour says, or that it can't be had now: then the rest of the answer stands without it. */
async function part<Value>(
  name: string,
  asked: Promise<Reply<Value>> | undefined,
): Promise<PartOf<Value>> {
  try {
    if (asked === undefined) throw new Error("it is not bound");
    const late = `it took more than ${PATIENCE} ms`;
    return { status: "ok", value: granted(await within(asked, PATIENCE, late)) };
  } catch (error) {
    if (error instanceof ProblemError) return { status: "unavailable", problem: error.problem };
    log.error(`The ${name} gave no answer`, { error });
    const detail = `The ${name} gave no answer (${saidBy(error)}). Ask again later.`;
    return { status: "unavailable", problem: problem("neighbour-unavailable", detail) };
  }
}
