import { isJsonType, mediaType, parseJson } from "../contract/json.ts";
import { ProblemError, refusal } from "../contract/problem.ts";
import { MAX_EVENT_BYTES, tooLarge } from "../contract/shape.ts";

/** @throws ProblemError body-too-large, unsupported-media-type, body-broken-off */
async function readText(request: Request, most = MAX_EVENT_BYTES): Promise<string> {
  requireNoEncoding(request.headers);
  if (!request.headers.has("content-length")) {
    return new TextDecoder().decode(await readBytes(request, most));
  }
  checkAnnounced(request.headers, most);
  // The HTTP layer holds the body to what was announced.
  try {
    return await request.text();
  } catch {
    throw brokenOff();
  }
}

/**
 * A body as it came, byte by byte.
 *
 * @param most bytes
 * @throws ProblemError body-too-large, unsupported-media-type, body-broken-off
 */
export async function readBytes(
  request: Request,
  most = MAX_EVENT_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  requireNoEncoding(request.headers);
  checkAnnounced(request.headers, most);
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  try {
    for await (const chunk of request.body ?? []) {
      length += chunk.byteLength;
      if (length > most) throw tooLarge(most);
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof ProblemError ? error : brokenOff();
  }
  if (chunks.length === 1) return chunks[0]!;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}

/** Whoever sends half a body, or chunks that are none, has made the mistake. */
export function brokenOff(): ProblemError {
  return refusal("body-broken-off", "The body ended too soon, or its chunks can't be read.");
}

function requireNoEncoding(headers: Headers): void {
  if (!headers.has("content-encoding")) return;
  throw refusal("unsupported-media-type", "Send the body without a Content-Encoding.");
}

function checkAnnounced(headers: Headers, most: number): void {
  const announced = headers.get("content-length");
  if (announced !== null && Number(announced) > most) throw tooLarge(most);
}

/** @param most bytes. @throws ProblemError unsupported-media-type, body-too-large, not-json, invalid-body */
export async function readJson(request: Request, most = MAX_EVENT_BYTES): Promise<unknown> {
  requireJson(request.headers);
  return parseJson(await readText(request, most));
}

/** As `readJson`; undefined where there is no body. */
export async function readOptionalJson(request: Request, most = MAX_EVENT_BYTES): Promise<unknown> {
  const hasType = request.headers.has("content-type");
  if (hasType) requireJson(request.headers);
  const text = await readText(request, most);
  if (text === "") return undefined;
  if (!hasType) requireJson(request.headers);
  return parseJson(text);
}

function requireJson(headers: Headers): void {
  const type = mediaType(headers.get("content-type"));
  if (isJsonType(type)) return;
  throw refusal("unsupported-media-type", `Content-Type is "${type}"; send application/json.`);
}
