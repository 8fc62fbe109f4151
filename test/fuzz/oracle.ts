import type { Answer, Ask } from "./ask.ts";

/** What tells of the inside: stack traces, files, source, SQL, names of errors. */
const leaks: readonly [string, RegExp][] = [
  ["a stack trace", /\n\s+at |\bat async |\(file:|\bat [\w.<>]+ \(/],
  ["a file's path", /node_modules|file:\/\/|\/(?:work|home|root|usr|tmp|var|src|services)\/\w/],
  ["a source line", /\b[\w-]+\.(?:ts|js|mjs|capnp|c\+\+):\d+/],
  [
    "an error of the inside",
    /\b(?:Type|Range|Reference|Internal|Eval)Error\b|\bError: |\[object \w+\]/,
  ],
  ["SQL", /SQLITE_|D1_ERROR|\bSELECT\b.+\bFROM\b|\bINSERT INTO\b|no such (?:table|column)/],
  ["the runtime's words", /Durable Object|workerd|miniflare|\bkj::|isolate|request handler/i],
];

/** `POST /operations/reindex` tells those who run the deployment what the platform says. */
const toAdministrators = /"error":"Durable Object ID is not valid for this namespace\."/g;

/** What the local runtime's own entry stumbles over; Cloudflare's edge refuses it before any Worker. */
const beforeWorkers = new Set([
  ...["two Hosts", "a Host that is none", "no Host", "CONNECT", "an asterisk"],
  ...["an absolute target", "a target that is no path"],
]);

/** Whether the local runtime's entry has stumbled, before any Worker was asked. */
export function isOfLocalRuntime({ raw, method }: Ask, { text, headers }: Answer): boolean {
  if (raw === undefined || !beforeWorkers.has(raw.kind)) return false;
  if (method === "HEAD" && !headers.has("content-type")) return true;
  const isOfEntry = /^TypeError: [^\n]*\n +at [^\n]*\/miniflare\/[^\n]*entry\.worker\.js[^\n]*$/;
  return (
    (!headers.has("content-type") && text === "Internal Server Error") ||
    isOfEntry.test(text.trim())
  );
}

const PROBLEM = "urn:durachart:problem:";
const MARK = "x-injected";

/**
 * What is wrong with an answer, whatever was asked.
 *
 * @returns null where nothing is
 */
export function wrongWith(ask: Ask, answer: Answer): string | null {
  const { status, headers, text, cut = false, byRuntime = false } = answer;
  if (headers.has(MARK)) return "a header of the request's making is in the answer";
  if (status === 0) {
    if (cut || (byRuntime && ask.raw !== undefined)) return null;
    return "it was hung up on without an answer";
  }
  if (byRuntime || isOfLocalRuntime(ask, answer)) return null;
  const leak = leaks.find(([, pattern]) => pattern.test(text.replace(toAdministrators, "")));
  if (leak !== undefined && status !== 101) return `it tells of ${leak[0]}`;
  if (status < 400) return status === 101 ? wrongInFrames(text) : null;
  if (ask.method === "HEAD") return status >= 500 ? `status ${status}` : null;
  if (cut) return status >= 500 ? `status ${status}` : null;
  const problem = problemOf(answer);
  if (problem === null) return "an error that is no problem document";
  if (problem.status !== status) return `the problem says status ${problem.status}`;
  if (!problem.type.startsWith(PROBLEM)) return `the problem's type is ${problem.type}`;
  const isDeliberate = status === 503 && headers.has("retry-after");
  if (status >= 500 && !isDeliberate) return `status ${status}`;
  if (status === 429 && !headers.has("retry-after")) return "429 without Retry-After";
  return null;
}

/** What comes over a socket is JSON that tells of the inside as little as an answer. */
function wrongInFrames(text: string): string | null {
  const leak = leaks.find(([, pattern]) => pattern.test(text));
  if (leak !== undefined) return `a message tells of ${leak[0]}`;
  return text.includes(`${PROBLEM}internal`) ? "an internal problem over the socket" : null;
}

export interface FoundProblem {
  type: string;
  status: number;
  detail: string;
}

/** The problem document that an answer is; null where it is none. */
export function problemOf({ headers, text }: Answer): FoundProblem | null {
  const type = headers.get("content-type") ?? "";
  if (!type.startsWith("application/problem+json") && !type.startsWith("application/json")) {
    return null;
  }
  try {
    const { type, status, detail, title } = JSON.parse(text) as Record<string, unknown>;
    if (typeof type !== "string" || typeof title !== "string" || typeof detail !== "string") {
      return null;
    }
    return { type, status: Number(status), detail };
  } catch {
    return null;
  }
}

/** Problems that only an instance can have: a door knows nothing of states, ends, keys or versions. */
const ofInstances = new Set([
  ...["event-not-allowed", "not-begun", "erased", "id-in-use", "key-reused", "has-ended"],
  ...["operation-not-possible", "migration-failed", "state-not-kept", "quarantined"],
  ...["step-failed", "too-many-deferred", "journal-full", "state-too-large", "unsupported"],
  ...["redrive-failed", "too-many-attempts"],
]);

/** How objects and databases say what a door could not: that it isn't there, or not for this caller. */
const saidInside =
  /^There is no (?!workflow|body)|^Nothing is waiting in|has no (?:payload|secret)|" is for operators\.$|^(?:orders|payments)\/[^ ]+ |url can't be an endpoint's|^The (?:client or its secret|refresh token|username or the password|code or the password) is|^This is for the role administrator|^Keys are rotated/;

/** Answers of what no object stands behind. */
const withoutObject = /\/healthz$|^\/machines\/|\/tickets$|\/operations\/|jwks\.json$/;

/**
 * Whether a request has come to an object, or to the database that some routes have in its place, by what
 * only that can say.
 */
export function hasReached(ask: Ask, answer: Answer): boolean {
  if (answer.byRuntime || answer.cut) return false;
  const { status, text } = answer;
  const path = ask.path.split("?")[0]!;
  if (withoutObject.test(path) || ask.method === "OPTIONS") return false;
  if (status === 101) return true;
  // A batch is answered 207 by what became of each.
  if (status === 207) return saidInside.test(text) || text.includes("event-not-allowed");
  if (status < 300) return true;
  const problem = problemOf(answer);
  if (problem === null) return false;
  const name = problem.type.slice(PROBLEM.length);
  return ofInstances.has(name) || saidInside.test(problem.detail);
}
