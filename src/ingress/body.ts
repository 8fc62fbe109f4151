import { refusal } from "../contract/problem.ts";
import { checkShape, MAX_EVENT_BYTES, tooLarge } from "../contract/shape.ts";

/** @throws ProblemError body-too-large, unsupported-media-type */
export async function readText(request: Request): Promise<string> {
  checkAnnounced(request);
  // The HTTP layer holds the body to what was announced.
  if (request.headers.has("content-length")) return request.text();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of request.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > MAX_EVENT_BYTES) throw tooLarge();
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** The body as it came. @throws ProblemError body-too-large, unsupported-media-type */
export async function readBytes(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  checkAnnounced(request);
  const bytes = new Uint8Array(MAX_EVENT_BYTES);
  let length = 0;
  for await (const chunk of request.body ?? []) {
    if (length + chunk.byteLength > MAX_EVENT_BYTES) throw tooLarge();
    bytes.set(chunk, length);
    length += chunk.byteLength;
  }
  return bytes.slice(0, length);
}

/** @throws ProblemError body-too-large, unsupported-media-type */
function checkAnnounced({ headers }: Request): void {
  if (headers.has("content-encoding")) {
    throw refusal("unsupported-media-type", "Send the body without a Content-Encoding.");
  }
  if (Number(headers.get("content-length") ?? 0) > MAX_EVENT_BYTES) throw tooLarge();
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
