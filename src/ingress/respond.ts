import { problem, ProblemError, type Problem } from "../contract/problem.ts";
import type { Reply } from "../contract/requests.ts";

export function problemResponse(document: Problem, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(document), {
    status: document.status,
    headers: {
      "Content-Type": "application/problem+json",
      ...(document.status === 401 ? { "WWW-Authenticate": "Bearer" } : {}),
      ...(document.status === 503 ? { "Retry-After": "1" } : {}),
      ...headers,
    },
  });
}

/** Whatever was thrown, as a problem; what we didn't expect tells the log, not the caller. */
export function errorResponse(error: unknown): Response {
  if (error instanceof ProblemError) return problemResponse(error.problem);
  console.error(error);
  return problemResponse(
    problem("internal", "Something went wrong inside. Try again; the log has the details."),
  );
}

/** @throws ProblemError where the instance answered with a problem */
export function valueOf<Value>(reply: Reply<Value>): Value {
  if (reply.ok) return reply.value;
  throw new ProblemError(reply.problem);
}
