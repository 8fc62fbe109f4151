import { base64Of, textOf } from "./data.ts";
import { cloudEventOf } from "./outgoing.ts";
import { isJsonType, mediaType, whyNoJson } from "../contract/json.ts";
import type { Message } from "../contract/message.ts";
import { refusal } from "../contract/problem.ts";

/** What an AMQP 0-9-1 message has that matters to CloudEvents. */
export interface AmqpContent {
  contentType?: string | undefined;
  contentEncoding?: string | undefined;
  headers?: Readonly<Record<string, unknown>> | undefined;
  body: Uint8Array;
}

/** Both prefixes of the AMQP binding 1.0.2, section 3.1.3.1; we write the first. */
const PREFIX = "cloudEvents_";
const PREFIXES = [PREFIX, "cloudEvents:"];

const STRUCTURED = "application/cloudevents+json";

/** A message in binary mode: attributes as headers, data as the body. */
export function amqpOf(message: Message): AmqpContent & { messageId: string; timestamp: Date } {
  const { data, datacontenttype, ...attributes } = cloudEventOf(message).toJSON();
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "string") headers[PREFIX + name] = value;
  }
  return {
    messageId: message.id,
    timestamp: new Date(message.time),
    contentType: datacontenttype as string | undefined,
    headers,
    body: new TextEncoder().encode(data === undefined ? "" : JSON.stringify(data)),
  };
}

/**
 * A message as an event in the JSON format, not yet checked against the specification.
 *
 * @throws ProblemError unsupported-media-type, not-json, bad-cloudevent
 */
export function readAmqp(content: AmqpContent): unknown {
  const { contentType = "", contentEncoding = "", headers = {}, body } = content;
  if (contentEncoding !== "" && !/^(identity|utf-?8)$/i.test(contentEncoding)) {
    throw refusal("unsupported-media-type", `The body is "${contentEncoding}"; send it as it is.`);
  }
  const type = mediaType(contentType);
  if (type === STRUCTURED) return parse(body);
  if (type.startsWith("application/cloudevents")) {
    throw refusal(
      "unsupported-media-type",
      `The content type is "${type}"; send ${STRUCTURED}, one event a message.`,
    );
  }
  const event = attributesOf(headers);
  if (contentType !== "") event["datacontenttype"] = contentType;
  if (body.byteLength === 0) return event;
  if (type === "" || isJsonType(type)) {
    event["data"] = parse(body);
  } else if (type.startsWith("text/")) {
    event["data"] = textOf(body);
  } else {
    event["data_base64"] = base64Of(body);
  }
  return event;
}

function attributesOf(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    const prefix = PREFIXES.find((one) => name.startsWith(one));
    if (prefix === undefined) continue;
    const attribute = name.slice(prefix.length);
    // CloudEvents 1.0.2, section 3: what a context attribute may be called; data is none.
    if (!/^[a-z0-9]+$/.test(attribute) || attribute === "data") {
      throw refusal("bad-cloudevent", `"${attribute}" is no name of an attribute.`, {
        field: name,
      });
    }
    const said = value instanceof Date ? isoOf(value) : value;
    if (Object.hasOwn(attributes, attribute) && attributes[attribute] !== said) {
      throw refusal("bad-cloudevent", `The headers give ${attribute} twice, and not alike.`, {
        field: attribute,
      });
    }
    attributes[attribute] = said;
  }
  return attributes;
}

function isoOf(date: Date): string | null {
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function parse(body: Uint8Array): unknown {
  const text = textOf(body);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw refusal("not-json", `The message's body is not JSON: ${whyNoJson(error)}`);
  }
}
