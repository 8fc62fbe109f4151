import type { Problem } from "../../src/contract/problem.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../../src/ingress/token.ts";
import type { AuthCalls } from "../contracts/auth.ts";
import type { CatalogCalls } from "../contracts/catalog.ts";
import type { ChatCalls } from "../contracts/chat.ts";
import type { Asker } from "../contracts/reply.ts";
import type { SupportCalls } from "../contracts/support.ts";
import { granted } from "../replying.ts";
import { nothingAt } from "./answers.ts";
import { catalog } from "./catalog.ts";
import { orders } from "./orders.ts";
import { support } from "./support.ts";

/** The gateway's bindings. What is not bound is a part of the shop that this deployment hasn't. */
export interface GatewayEnv extends Omit<TokenSettings, "AUTH"> {
  ORCHESTRATOR: Fetcher;
  KITCHEN: Fetcher;
  DELIVERY: Fetcher;
  ORDERLOG: Fetcher;
  CATALOG?: CatalogCalls;
  CHAT?: ChatCalls & Fetcher;
  SUPPORT?: SupportCalls;
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

type ApiHandler = (api: ApiRequest) => Promise<Response>;

/** First segments after `/api` → who answers. */
const neighbours: Readonly<Record<string, ApiHandler>> = {
  catalog,
  orders,
  support,
};

/** The shop's public face, `/api/*`: who is asking, then the neighbour whose it is. It holds no logic of theirs. */
export async function api(request: Request, env: GatewayEnv): Promise<Response> {
  try {
    const url = new URL(request.url);
    const asker = await askerOf(request, env);
    const [neighbour = "", ...path] = segmentsOf(url);
    const handle = Object.hasOwn(neighbours, neighbour) ? neighbours[neighbour] : undefined;
    if (handle === undefined) throw nothingAt(url);
    return finish(await handle({ request, url, path, asker, env }));
  } catch (error) {
    return finish(errorResponse(error));
  }
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
