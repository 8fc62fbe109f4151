import { mediaType, parseJson } from "../contract/json.ts";
import { ProblemError, refusal, type Problem } from "../contract/problem.ts";
import { checkMessage } from "../contract/shape.ts";
import { bad, checkAttributes } from "./attributes.ts";
import { dataOfBytes, textOf } from "./data.ts";
import { checkCloudEvent, received, type ReceivedEvent } from "./received.ts";

/** CloudEvents HTTP protocol binding 1.0.2, sections 3.2 and 3.3. */
const STRUCTURED = "application/cloudevents+json";
const BATCH = "application/cloudevents-batch+json";

/** Events in one request at most: 64 KiB hold few more. */
const MAX_BATCH = 500;

/** One event, or one answer for each of a batch. */
export type Arrived =
  { event: ReceivedEvent } | { batch: readonly (ReceivedEvent | { problem: Problem })[] };

/** Section 3: what decides is the Content-Type; a `ce-` header alone makes it binary mode. */
export function isCloudEvent(headers: Headers): boolean {
  return (
    mediaType(headers.get("content-type")).startsWith("application/cloudevents") ||
    headers.has("ce-specversion") ||
    headers.has("ce-type") ||
    headers.has("ce-id")
  );
}

/**
 * The CloudEvent, or the batch of them, that a request carries. An event of a batch that is not valid
 * doesn't take the others along.
 *
 * @throws ProblemError bad-cloudevent, unsupported-media-type, not-json, invalid-body
 */
export function readCloudEvents(headers: Headers, body: Uint8Array): Arrived {
  const type = mediaType(headers.get("content-type"));
  if (!type.startsWith("application/cloudevents")) return { event: binary(headers, body) };
  requireUtf8(headers);
  if (type === STRUCTURED) return { event: checkCloudEvent(parseJson(textOf(body))) };
  if (type === BATCH) return { batch: checkBatch(parseJson(textOf(body))) };
  const detail = `Content-Type is "${type}"; send ${STRUCTURED} or ${BATCH}.`;
  throw refusal("unsupported-media-type", detail);
}

function checkBatch(value: unknown): (ReceivedEvent | { problem: Problem })[] {
  if (!Array.isArray(value)) throw refusal("bad-cloudevent", "A batch is a JSON array of events.");
  if (value.length > MAX_BATCH) {
    throw refusal("bad-cloudevent", `A batch has at most ${MAX_BATCH} events.`);
  }
  return value.map((one: unknown) => {
    try {
      checkMessage(one);
      return checkCloudEvent(one);
    } catch (error) {
      if (error instanceof ProblemError) return { problem: error.problem };
      throw error;
    }
  });
}

function binary(headers: Headers, body: Uint8Array): ReceivedEvent {
  const found: Record<string, unknown> = {};
  for (const [name, value] of headers) {
    if (name.startsWith("ce-")) found[name.slice(3)] = headerValue(name, value);
  }
  const contentType = headers.get("content-type");
  if ("datacontenttype" in found) {
    throw bad("ce-datacontenttype", "is not how the type of the data is sent: use Content-Type");
  }
  const attributes = checkAttributes({ ...found, datacontenttype: contentType });
  if (body.byteLength === 0) return received(attributes, undefined);
  return received(attributes, dataOfBytes(body, contentType ?? "application/json"));
}

/** Section 3.1.3.2: quoted strings are unquoted, then one round of percent-decoding. */
function headerValue(name: string, value: string): string {
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(value)?.[1];
  const plain = quoted === undefined ? value : quoted.replaceAll(/\\(.)/g, "$1");
  try {
    return decodeURIComponent(plain);
  } catch {
    throw bad(name, "is not percent-encoded UTF-8");
  }
}

function requireUtf8(headers: Headers): void {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)"?/i.exec(headers.get("content-type") ?? "")?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return;
  throw refusal("unsupported-media-type", `The charset is "${charset}"; send UTF-8.`);
}
