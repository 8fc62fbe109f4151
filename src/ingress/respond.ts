import { log } from "../contract/log.ts";
import { problem, ProblemError, type Problem } from "../contract/problem.ts";

export function problemResponse(document: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(document), {
    status: document.status,
    headers: {
      "Content-Type": "application/problem+json",
      ...(document.status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
      ...(document.status === 503 || document.status === 429
        ? { "Retry-After": secondsToWait(document) }
        : {}),
      ...limitHeaders(document),
      ...headers,
    },
  });
}

/** `retryAfter` of a problem that has one. */
function secondsToWait({ retryAfter }: Problem): string {
  return typeof retryAfter === "number" ? String(retryAfter) : "1";
}

/** What a limit that was met says of itself ("RateLimit header fields for HTTP", draft 10). */
function limitHeaders({ limit }: Problem): Record<string, string> {
  if (limit === undefined) return {};
  const { name, quota, window, remaining, reset } = limit as Record<string, string | number>;
  return {
    "Retry-After": String(reset),
    "RateLimit-Policy": `"${name}";q=${quota};w=${window}`,
    RateLimit: `"${name}";r=${remaining};t=${reset}`,
  };
}

/** Whatever was thrown, as a problem; what we didn't expect tells the log, not the caller. */
export function errorResponse(error: unknown, trace?: string): Response {
  if (error instanceof ProblemError) return problemResponse(error.problem);
  log.error("A request failed unexpectedly", { error, trace });
  return problemResponse(
    problem("internal", "Something went wrong inside. Try again; the log has the details."),
  );
}

/** The instance's answer. @throws ProblemError where it is a problem */
export function granted<Answer extends { ok: true }>(
  reply: Answer | { ok: false; problem: Problem },
): Answer {
  if (reply.ok) return reply;
  throw new ProblemError(reply.problem);
}

const JSON_HEADERS = { "Content-Type": "application/json" };

/** A body that is JSON text already. */
export function jsonResponse(
  json: string,
  status = 200,
  headers?: Record<string, string>,
): Response {
  return new Response(json, {
    status,
    headers: headers === undefined ? JSON_HEADERS : { ...JSON_HEADERS, ...headers },
  });
}

/**
 * What every answer of ours says: nobody on the way keeps it, but where it says otherwise itself, and no
 * browser takes it for anything but what it says it is. The last step of each router.
 *
 * @param trace which the caller's request belongs to
 */
export function finish(response: Response, trace?: string): Response {
  // What comes from an object can't be altered, and a WebSocket's answer must stay as it is.
  if (response.webSocket !== null) return response;
  const { headers } = response;
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", "no-store");
  headers.set("X-Content-Type-Options", "nosniff");
  if (trace !== undefined) headers.set("traceparent", trace);
  return response;
}
