import { refusal } from "../../src/contract/problem.ts";
import type { ApiRequest, GatewayEnv } from "./api.ts";

/** `/api/chat/…` is the chat's `/…`. */
export function chat({ request, url, env }: ApiRequest): Promise<Response> {
  return passed(request, url, env);
}

/**
 * A page's WebSocket brings a one-use ticket of the chat's in the place of a token: the chat looks at it.
 *
 * @returns null where the request is no such
 */
export function chatByTicket(
  request: Request,
  url: URL,
  env: GatewayEnv,
): Promise<Response> | null {
  const isStream = /^\/api\/chat\/orders\/[^/]+\/stream$/.test(url.pathname);
  return isStream && url.searchParams.has("ticket") ? passed(request, url, env) : null;
}

async function passed(request: Request, url: URL, { CHAT }: GatewayEnv): Promise<Response> {
  if (CHAT === undefined) throw refusal("not-found", "This deployment has no chat.");
  const there = new URL(url);
  there.pathname = url.pathname.replace(/^\/api\/chat/, "");
  return CHAT.fetch(new Request(there, request));
}
