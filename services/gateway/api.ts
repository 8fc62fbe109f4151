import { problem, refusal, type Problem } from "../../src/contract/problem.ts";
import { errorResponse, finish, problemResponse } from "../../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../../src/ingress/token.ts";
import type { AuthCalls } from "../contracts/auth.ts";
import type { ChatCalls } from "../contracts/chat.ts";
import type { Asker } from "../contracts/reply.ts";
import { granted } from "../replying.ts";
import { chat, chatByTicket } from "./chat.ts";
import { orders } from "./orders.ts";

/** The gateway's bindings. What is not bound is a part of the shop that this deployment hasn't. */
export interface GatewayEnv extends Omit<TokenSettings, "AUTH"> {
  ORCHESTRATOR: Fetcher;
  KITCHEN: Fetcher;
  DELIVERY: Fetcher;
  ORDERLOG: Fetcher;
  CHAT?: ChatCalls & Fetcher;
  /** Where an outside issuer takes the auth service's place it isn't bound; the gateway looks at tokens itself then. */
  AUTH?: AuthCalls;
}

/** A request to `/api/{neighbour}/…`, its token verified. */
export interface ApiRequest {
  request: Request;
  url: URL;
  /** What follows the neighbour's name in the path, decoded. */
  path: readonly string[];
  asker: Asker;
  env: GatewayEnv;
}

export type ApiHandler = (api: ApiRequest) => Promise<Response>;

/** First segments after `/api` → who answers. */
const neighbours: Readonly<Record<string, ApiHandler>> = {
  orders,
  chat,
};

/** The shop's public face, `/api/*`: who is asking, then the neighbour whose it is. It holds no logic of theirs. */
export async function api(request: Request, env: GatewayEnv): Promise<Response> {
  try {
    const url = new URL(request.url);
    const ticketed = chatByTicket(request, url, env);
    if (ticketed !== null) return finished(await ticketed);
    const asker = await askerOf(request, env);
    const [neighbour = "", ...path] = segmentsOf(url);
    const handle = Object.hasOwn(neighbours, neighbour) ? neighbours[neighbour] : undefined;
    if (handle === undefined) throw nothingAt(url);
    return finished(await handle({ request, url, path, asker, env }));
  } catch (error) {
    return finish(errorResponse(error));
  }
}

/** What comes from another Worker can't be added to; a WebSocket's answer must stay as it is. */
function finished(answer: Response): Response {
  return finish(answer.webSocket === null ? new Response(answer.body, answer) : answer);
}

/** For an address that leads nowhere. */
export function nothingAt(url: URL): Error {
  return refusal("not-found", `There is nothing at ${url.pathname}.`);
}

/** For an address that takes other methods. */
export function wrongMethod(request: Request, ...allowed: string[]): Response {
  const allow = allowed.join(", ");
  const detail = `${request.method} is not for this address; it takes ${allow}.`;
  return problemResponse(problem("method-not-allowed", detail), { Allow: allow });
}

/** A part of an answer that its neighbour has, or could not give. */
export type PartOf<Value> =
  { status: "ok"; value: Value } | { status: "unavailable"; problem: Problem };

async function askerOf(request: Request, { AUTH, ...settings }: GatewayEnv): Promise<Asker> {
  const authorization = request.headers.get("authorization");
  const caller =
    AUTH === undefined
      ? await authenticate(request, settings)
      : granted(await AUTH.whoIs(authorization));
  return { caller, authorization: authorization ?? "" };
}

/** @throws ProblemError not-found where a segment is no text */
function segmentsOf(url: URL): string[] {
  try {
    return url.pathname.split("/").slice(2).map(decodeURIComponent);
  } catch {
    throw nothingAt(url);
  }
}
