import { refusal } from "../contract/problem.ts";

/** An event, and so a body, is at most so large everywhere: queues take 128 KB a message. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_DEPTH = 32;

/** Keys that reach an object's prototype when somebody merges them carelessly. */
const POISONOUS = new Set(["__proto__", "constructor", "prototype"]);

/** @throws ProblemError body-too-large, unsupported-media-type */
export async function readText(request: Request): Promise<string> {
  if (request.headers.has("content-encoding")) {
    throw refusal("unsupported-media-type", "Send the body without a Content-Encoding.");
  }
  const tooLarge = () =>
    refusal("body-too-large", `The body may have at most ${MAX_BODY_BYTES} bytes.`);
  const announced = request.headers.get("content-length");
  if (announced !== null) {
    // The HTTP layer holds the body to what was announced.
    if (Number(announced) > MAX_BODY_BYTES) throw tooLarge();
    return request.text();
  }
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** @throws ProblemError not-json, invalid-body naming the place */
export function parseJson(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw refusal("not-json", `The body is not JSON: ${(error as Error).message}`);
  }
  checkShape(value);
  return value;
}

/** @throws ProblemError invalid-body where it is too deep or names a prototype */
export function checkShape(root: unknown): void {
  const bad = findBadShape(root, 0);
  if (bad === null) return;
  // The whole path of a bomb would be one itself.
  const path = bad.path.toReversed().join(".");
  const field = path.length > 200 ? `${path.slice(0, 60)}…` : path;
  const detail = bad.isTooDeep
    ? `"${field}" is nested deeper than ${MAX_DEPTH}.`
    : `The field "${field}" is not allowed.`;
  throw refusal("invalid-body", detail, { field });
}

/** The path, innermost key first, of what must not be; it is gathered only where something is found. */
function findBadShape(
  value: unknown,
  depth: number,
): { path: string[]; isTooDeep: boolean } | null {
  if (typeof value !== "object" || value === null) return null;
  if (depth >= MAX_DEPTH) return { path: [], isTooDeep: true };
  for (const key of Object.keys(value)) {
    if (POISONOUS.has(key)) return { path: [key], isTooDeep: false };
    const found = findBadShape((value as Record<string, unknown>)[key], depth + 1);
    if (found === null) continue;
    found.path.push(key);
    return found;
  }
  return null;
}

/** The media type without parameters, in lower case. */
export function mediaType(headers: Headers): string {
  return (headers.get("content-type") ?? "").split(";", 1)[0]!.trim().toLowerCase();
}

/** @throws ProblemError unsupported-media-type, body-too-large, not-json, invalid-body */
export async function readJson(request: Request): Promise<unknown> {
  requireJson(request.headers);
  return parseJson(await readText(request));
}

/** As `readJson`; undefined where there is no body. */
export async function readOptionalJson(request: Request): Promise<unknown> {
  const hasType = request.headers.has("content-type");
  if (hasType) requireJson(request.headers);
  const text = await readText(request);
  if (text === "") return undefined;
  if (!hasType) requireJson(request.headers);
  return parseJson(text);
}

function requireJson(headers: Headers): void {
  const type = mediaType(headers);
  if (type === "application/json" || type.endsWith("+json")) return;
  throw refusal("unsupported-media-type", `Content-Type is "${type}"; send application/json.`);
}
