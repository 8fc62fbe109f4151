/** An RFC 9457 problem document. `type` is stable; `docs/http.md` lists them all. */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  [extension: string]: unknown;
}

const problems = {
  "not-found": [404, "Not found"],
  "unknown-workflow": [422, "There is no such workflow"],
  "method-not-allowed": [405, "Method not allowed"],
  unauthenticated: [401, "Credentials are missing or wrong"],
  forbidden: [403, "Not allowed for you"],
  "not-json": [400, "Not JSON"],
  "bad-id": [400, "Not an id"],
  "idempotency-key-required": [400, "An id or an Idempotency-Key is required"],
  "bad-idempotency-key": [400, "Not an Idempotency-Key"],
  "bad-parameter": [400, "A query parameter is wrong"],
  "bad-cloudevent": [400, "Not a valid CloudEvent"],
  "upgrade-required": [426, "This is a WebSocket"],
  "range-not-satisfiable": [416, "There is no such range"],
  "unsupported-media-type": [415, "Unsupported media type"],
  "body-broken-off": [400, "The body broke off"],
  "body-too-large": [413, "The body is too large"],
  "invalid-body": [422, "The body is not what is expected"],
  "unknown-event": [422, "The chart knows no such event"],
  "event-not-allowed": [409, "The event is not allowed now"],
  "has-ended": [409, "The instance has come to its end"],
  "operation-not-possible": [409, "The operation is not possible now"],
  "migration-failed": [409, "The instance could not be migrated"],
  "state-not-kept": [409, "What it was then is not kept"],
  "journal-full": [409, "The journal is full"],
  "room-full": [409, "The room is full"],
  "not-begun": [409, "The instance has not begun yet"],
  erased: [410, "The instance was erased"],
  "id-in-use": [409, "The id is in use"],
  "key-reused": [409, "The key was used for something else"],
  unsupported: [422, "The chart asks for what can't run durably"],
  "step-failed": [422, "The chart failed on this event"],
  "state-too-large": [422, "The state would become too large"],
  "too-many-deferred": [429, "Too many deferred events"],
  "too-many-requests": [429, "Too many requests"],
  "too-many-instances": [429, "Too many instances"],
  "too-many-sockets": [429, "Too many WebSockets"],
  "too-many-hops": [508, "Instances answer each other without end"],
  quarantined: [409, "The stored state doesn't fit this deployment"],
  overloaded: [503, "Overloaded"],
  "too-many-attempts": [429, "Too many attempts"],
  "keys-out-of-reach": [503, "The issuer's keys are out of reach"],
  "not-configured": [503, "The service is not configured"],
  "neighbour-unavailable": [503, "Another service gave no answer"],
  exhausted: [504, "Given up"],
  "redrive-failed": [502, "It could not be sent again"],
  internal: [500, "Internal error"],
} as const satisfies Record<string, readonly [number, string]>;

export type ProblemName = keyof typeof problems;

/** @param detail what happened, where, and what to do about it */
export function problem(
  name: ProblemName,
  detail: string,
  extensions: Record<string, unknown> = {},
): Problem {
  const [status, title] = problems[name];
  return { type: `urn:durachart:problem:${name}`, title, status, detail, ...extensions };
}

/** Statuses that pass by themselves: not started yet, not now, too much at once, broken. */
const PASSING = new Set([404, 409, 429, 500, 503]);

/** Problems that stay, whatever their status: an id or a key in use stays so, and so does an end. */
const LASTING = /:(id-in-use|has-ended|key-reused)$/;

/** Whether what met it is worth another try. */
export function isPassing({ status, type }: Problem): boolean {
  return PASSING.has(status) && !LASTING.test(type);
}

/** Carries a problem up to whoever answers. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly problem: Problem;

  constructor(document: Problem) {
    super(document.detail);
    this.problem = document;
  }
}

/** A problem to throw. */
export function refusal(
  name: ProblemName,
  detail: string,
  extensions?: Record<string, unknown>,
): ProblemError {
  return new ProblemError(problem(name, detail, extensions));
}
