import { log } from "../../src/contract/log.ts";
import { ProblemError, refusal, type Problem } from "../../src/contract/problem.ts";
import { errorResponse, finish } from "../../src/ingress/respond.ts";
import { authenticate, type TokenSettings } from "../../src/ingress/token.ts";
import type { AuthCalls } from "../contracts/auth.ts";
import type { AvatarCalls } from "../contracts/avatars.ts";
import type { CatalogCalls } from "../contracts/catalog.ts";
import type { ChatCalls } from "../contracts/chat.ts";
import type { LogCalls } from "../contracts/log.ts";
import type { MailboxCalls } from "../contracts/mail.ts";
import type { Asker } from "../contracts/reply.ts";
import type { StationCalls } from "../contracts/stations.ts";
import type { SupportCalls } from "../contracts/support.ts";
import { allowancesIn } from "../doors.ts";
import { granted } from "../replying.ts";
import { nothingAt } from "./answers.ts";
import { avatars } from "./avatars.ts";
import { catalog } from "./catalog.ts";
import { chat } from "./chat.ts";
import { mailbox } from "./mailbox.ts";
import { orderLog } from "./order-log.ts";
import { orders } from "./orders.ts";
import { station } from "./stations.ts";
import { support } from "./support.ts";

/** The gateway's bindings. What is not bound is a part of the shop that this deployment hasn't. */
export interface GatewayEnv extends Omit<TokenSettings, "AUTH"> {
  ORCHESTRATOR: Fetcher;
  KITCHEN: Fetcher;
  DELIVERY: Fetcher;
  ORDERLOG: Fetcher;
  AVATARS?: AvatarCalls;
  KITCHEN_JOBS?: StationCalls;
  DELIVERY_JOBS?: StationCalls;
  LOG?: LogCalls;
  CATALOG?: CatalogCalls;
  CHAT?: ChatCalls & Fetcher;
  MAILBOX?: MailboxCalls;
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

/** What is passed on to the orchestrator is counted there. */
const ITSELF_COUNTING = "orders";

type ApiHandler = (api: ApiRequest) => Promise<Response>;

/** First segments after `/api` → who answers. */
export const neighbours: Readonly<Record<string, ApiHandler>> = {
  avatars,
  catalog,
  chat,
  delivery: station("DELIVERY_JOBS"),
  kitchen: station("KITCHEN_JOBS"),
  log: orderLog,
  mailbox,
  orders,
  support,
};

/** The shop's public face, `/api/*`: who is asking, then the neighbour whose it is. It holds no logic of theirs. */
export async function api(request: Request, env: GatewayEnv): Promise<Response> {
  try {
    const url = new URL(request.url);
    const [neighbour = "", ...path] = segmentsOf(url);
    const asker = isTicketed(url, neighbour, path) ? nobody : await askerOf(request, env);
    // Whatever is asked for, and whoever has it; the neighbour counts who brings a ticket, for it alone knows.
    const isCounted = asker !== nobody && neighbour !== ITSELF_COUNTING;
    if (isCounted) await allowancesIn(env).take(asker.caller.tenant, "requests", 1);
    const handle = Object.hasOwn(neighbours, neighbour) ? neighbours[neighbour] : undefined;
    if (handle === undefined) throw nothingAt(url);
    return finished(await handle({ request, url, path, asker, env }));
  } catch (error) {
    return finish(
      errorResponse(error instanceof ProblemError ? error : unavailable(request, error)),
    );
  }
}

/** What isn't a problem is a neighbour that gave no answer: the gateway does nothing that could fail. */
function unavailable({ method, url }: Request, error: unknown): ProblemError {
  log.error("A neighbour gave no answer", { method, path: new URL(url).pathname, error });
  const detail =
    "Another service gave no answer. Ask again; an event needs the same Idempotency-Key.";
  return refusal("neighbour-unavailable", detail);
}

/** Who brings a ticket in the place of a token: whose it is only the neighbour knows, and asks for itself. */
const nobody: Asker = { caller: { tenant: "", subject: "", roles: [] }, authorization: "" };

/** A page's WebSocket can bring no token: its one-use ticket is for the neighbour that has made it. */
function isTicketed(url: URL, neighbour: string, path: readonly string[]): boolean {
  const order = neighbour === "chat" && path[0] === "orders" ? path.slice(1) : path;
  const isStream = (neighbour === "orders" || order !== path) && order.length === 2;
  return isStream && order[1] === "stream" && url.searchParams.has("ticket");
}

/** What comes from another Worker can't be added to; a WebSocket's answer must stay as it is. */
function finished(answer: Response): Response {
  return finish(answer.webSocket === null ? new Response(answer.body, answer) : answer);
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
