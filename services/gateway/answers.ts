import { problem, refusal } from "../../src/contract/problem.ts";
import { problemResponse } from "../../src/ingress/respond.ts";

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

/** A request as it came, WebSockets too, at another address of a neighbour's. */
export function passedTo(
  neighbour: Fetcher,
  request: Request,
  url: URL,
  pathname: string,
): Promise<Response> {
  const there = new URL(url);
  there.pathname = pathname;
  return neighbour.fetch(new Request(there, request));
}
