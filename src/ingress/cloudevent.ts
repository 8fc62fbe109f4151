import { HTTP } from "cloudevents";
import { refusal } from "../contract/problem.ts";
import { mediaType, parseJson } from "./body.ts";

/** What we need of a CloudEvent, checked against the specification. */
export interface ReceivedEvent {
  id: string;
  source: string;
  type: string;
  subject?: string;
  /** RFC 3339 */
  time?: string;
  data?: unknown;
}

const STRUCTURED = "application/cloudevents+json";

export function isCloudEvent(headers: Headers): boolean {
  return (
    headers.has("ce-specversion") ||
    headers.has("ce-type") ||
    mediaType(headers).startsWith("application/cloudevents")
  );
}

/**
 * A CloudEvent in binary or structured mode. The `cloudevents` package parses; what the
 * specification asks for and the package lets pass is checked here.
 *
 * @throws ProblemError bad-cloudevent, unsupported-media-type, not-json, invalid-body
 */
export function readCloudEvent(headers: Headers, text: string): ReceivedEvent {
  const type = mediaType(headers);
  if (type.startsWith("application/cloudevents")) {
    if (type !== STRUCTURED) {
      throw refusal(
        "unsupported-media-type",
        `Content-Type is "${type}"; send ${STRUCTURED}, one event a request.`,
      );
    }
    return checkCloudEvent(parseJson(text));
  }
  const attributes = binaryAttributes(headers);
  checkAttributes(attributes);
  if (text !== "") {
    if (type !== "application/json" && !type.endsWith("+json")) {
      throw refusal("unsupported-media-type", `The event's data is "${type}"; send JSON.`);
    }
    parseJson(text);
  }
  const decoded: Record<string, string> = { "content-type": type || "application/json" };
  for (const [name, value] of Object.entries(attributes)) decoded[`ce-${name}`] = value as string;
  return toReceived(() => HTTP.toEvent({ headers: decoded, body: text === "" ? undefined : text }));
}

/** @throws ProblemError bad-cloudevent */
export function checkCloudEvent(value: unknown): ReceivedEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refusal("bad-cloudevent", "A CloudEvent is a JSON object.");
  }
  checkAttributes(value as Record<string, unknown>);
  if ("data_base64" in value) {
    throw refusal("bad-cloudevent", "data_base64 is not taken here; send JSON data.", {
      field: "data_base64",
    });
  }
  return toReceived(() =>
    HTTP.toEvent({ headers: { "content-type": STRUCTURED }, body: JSON.stringify(value) }),
  );
}

function toReceived(parse: () => ReturnType<typeof HTTP.toEvent>): ReceivedEvent {
  let parsed: ReturnType<typeof HTTP.toEvent>;
  try {
    parsed = parse();
  } catch (error) {
    throw refusal("bad-cloudevent", `Not a valid CloudEvent: ${(error as Error).message}`);
  }
  if (Array.isArray(parsed)) throw refusal("bad-cloudevent", "Send one event a request.");
  const { id, source, type, subject, time, data } = parsed;
  return {
    id,
    source,
    type,
    ...(subject === undefined ? {} : { subject }),
    ...(time === undefined ? {} : { time }),
    ...(data === undefined || data === null ? {} : { data }),
  };
}

/** CloudEvents 1.0.2, HTTP binding 3.1.3.2: attribute values are percent-encoded in headers. */
function binaryAttributes(headers: Headers): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of headers) {
    if (!name.startsWith("ce-")) continue;
    try {
      attributes[name.slice(3)] = decodeURIComponent(value);
    } catch {
      throw refusal("bad-cloudevent", `The header ${name} is not percent-encoded UTF-8.`, {
        field: name,
      });
    }
  }
  return attributes;
}

/** CloudEvents 1.0.2, section 3.1: required attributes are non-empty strings. */
function checkAttributes(attributes: Record<string, unknown>): void {
  const { specversion, time, subject } = attributes;
  if (specversion !== "1.0") {
    throw refusal("bad-cloudevent", 'specversion must be "1.0".', { field: "specversion" });
  }
  for (const field of ["id", "source", "type"]) {
    const value = attributes[field];
    if (typeof value === "string" && value !== "") continue;
    throw refusal("bad-cloudevent", `${field} must be a non-empty string.`, { field });
  }
  if (subject !== undefined && (typeof subject !== "string" || subject === "")) {
    throw refusal("bad-cloudevent", "subject must be a non-empty string.", {
      field: "subject",
    });
  }
  if (time !== undefined && (typeof time !== "string" || Number.isNaN(Date.parse(time)))) {
    throw refusal("bad-cloudevent", "time must be an RFC 3339 timestamp.", { field: "time" });
  }
}
