import type { Attributes } from "../contract/attributes.ts";
import { refusal } from "../contract/problem.ts";
import { continueTrace } from "../contract/trace.ts";
import { bad, checkAttributes } from "./attributes.ts";
import { dataOfBytes, isJson } from "./data.ts";

/** A CloudEvent that has been checked against the specification. */
export interface ReceivedEvent {
  id: string;
  source: string;
  type: string;
  subject?: string;
  /** RFC 3339 */
  time?: string;
  /** A JSON value; of data that is text, the text; of any other, its base64. Absent where there is none. */
  data?: unknown;
  /** All other attributes: `datacontenttype`, `dataschema`, and the extensions. */
  extensions: Attributes;
}

/**
 * A CloudEvent in the JSON format (1.0.2), as a parsed value.
 *
 * @throws ProblemError bad-cloudevent naming the attribute
 */
export function checkCloudEvent(value: unknown): ReceivedEvent {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw refusal("bad-cloudevent", "A CloudEvent is a JSON object.");
  }
  const { data, data_base64: encoded, ...rest } = value as Record<string, unknown>;
  const attributes = checkAttributes(rest);
  if (encoded === undefined || encoded === null) return received(attributes, data);
  if (data !== undefined) throw bad("data_base64", "and data can't both be there");
  return received(attributes, dataOfBytes(bytesOf(encoded), typeOf(attributes)));
}

/** @param data undefined for none */
export function received(attributes: Attributes, data: unknown): ReceivedEvent {
  const { specversion: _, id, source, type, subject, time, ...extensions } = attributes;
  return {
    id: id as string,
    source: source as string,
    type: type as string,
    ...(subject === undefined ? {} : { subject: subject as string }),
    ...(time === undefined ? {} : { time: time as string }),
    ...(data === undefined ? {} : { data }),
    extensions,
  };
}

/** All that an event says of itself beside what it is and carries: what is kept of it. */
export function keptOf({ source, id, time, extensions }: ReceivedEvent): Attributes {
  return { source, id, ...(time === undefined ? {} : { time }), ...extensions };
}

/** The trace that an event names, gone on with; undefined where it names none. */
export function traceOf({ extensions: { traceparent } }: ReceivedEvent): string | undefined {
  return traceparent === undefined ? undefined : continueTrace(String(traceparent));
}

/** Without a type the data is JSON (JSON format 1.0.2, section 3.1.1). */
function typeOf({ datacontenttype }: Attributes): string {
  const type = (datacontenttype as string | undefined) ?? "application/json";
  return isJson(type) ? "application/json" : type;
}

function bytesOf(encoded: unknown): Uint8Array {
  // RFC 4648, section 4; `fromBase64` would take white space.
  const isBase64 =
    typeof encoded === "string" &&
    /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(encoded);
  if (!isBase64) throw bad("data_base64", "must be base64");
  return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0));
}
