import type { AMQPMessage } from "@cloudamqp/amqp-client/amqp-message";
import type { AMQPProperties, Field } from "@cloudamqp/amqp-client/amqp-properties";
import { amqpOf, readAmqp, type AmqpContent } from "../cloudevents/amqp.ts";
import type { DeadLetter } from "../contract/dead-letter.ts";
import { findRealm } from "../contract/realm.ts";
import type { Envelope } from "../contract/envelope.ts";
import { fingerprint } from "../contract/fingerprint.ts";
import type { Message } from "../contract/message.ts";
import type { Problem } from "../contract/problem.ts";
import type { Publication } from "./connection.ts";
import { DEAD, EXCHANGE, retryOf } from "./topology.ts";

/** Ours, in a message's headers. */
const TENANT = "durachart-tenant";
const JURISDICTION = "durachart-jurisdiction";
const ATTEMPTS = "durachart-attempts";
const QUEUE = "durachart-queue";
const REASON = "durachart-reason";
/** One death: the same however often its letter is brought. */
const DEATH = "durachart-death";

const STRUCTURED = "application/cloudevents+json";

const MAX_ROUTING_KEY = 255;

/** UTF-16 units that surely fit into the 255 bytes of a short string. */
const MAX_MESSAGE_ID = 85;

/** Bytes that a dead letter may have as JSON: queues take 128 KB. */
const MAX_LETTER = 100_000;

/** Bytes of a message that a dead letter shows where it can't be shown as an event. */
const MAX_SHOWN = 24_000;

/** A message as it is sent to the queue `to`. */
export function publicationOf(to: string, message: Message): Publication {
  const { body, headers, contentType, messageId, timestamp } = amqpOf(message);
  const { about, jurisdiction } = message;
  const full = `${to}.${message.type}`;
  return {
    exchange: EXCHANGE,
    routingKey: new TextEncoder().encode(full).byteLength > MAX_ROUTING_KEY ? to : full,
    body,
    properties: {
      ...{ messageId, timestamp },
      ...(contentType === undefined ? {} : { contentType }),
      headers: {
        ...headers,
        [TENANT]: about.tenant,
        ...(jurisdiction === undefined ? {} : { [JURISDICTION]: jurisdiction }),
      },
    },
  };
}

/**
 * A message as what our own queues carry, unchecked.
 *
 * @param tenant counts whatever the message says, where it is given
 * @throws ProblemError unsupported-media-type, not-json, bad-cloudevent
 */
export function envelopeIn(message: AMQPMessage, tenant: string | undefined): unknown {
  const headers = message.properties.headers ?? {};
  const jurisdiction = headers[JURISDICTION];
  return {
    tenant: tenant ?? headers[TENANT],
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    event: readAmqp(contentOf(message)),
  } satisfies Record<keyof Envelope, unknown> | object;
}

/** What keeps a message's place in order; null where there is nothing to keep. */
export function orderOf(message: AMQPMessage): string | null {
  try {
    const { tenant, event } = envelopeIn(message, undefined) as {
      tenant?: unknown;
      event?: { subject?: unknown } | null;
    };
    const subject = event?.subject;
    return typeof subject === "string" ? JSON.stringify([tenant, subject]) : null;
  } catch {
    return null;
  }
}

/** Which try this is, from 1 on. */
export function attemptOf({ properties }: AMQPMessage): number {
  const said = properties.headers?.[ATTEMPTS];
  return typeof said === "number" && said > 0 ? Math.floor(said) + 1 : 1;
}

/** The message once more, to come back to its queue in so many seconds. */
export function retryPublication(
  message: AMQPMessage,
  { queue, delay, attempts }: { queue: string; delay: number; attempts: number },
): Publication {
  return {
    exchange: retryOf(delay),
    routingKey: queue,
    body: bodyOf(message),
    properties: again(message.properties, { [ATTEMPTS]: attempts }),
  };
}

export function deadPublication(
  message: AMQPMessage,
  { queue, reason, attempts }: { queue: string; reason: Problem; attempts: number },
): Publication {
  const { type, title, status, detail } = reason;
  const short: Problem = { type, title, status, detail: detail.slice(0, 2_000) };
  return {
    exchange: DEAD,
    routingKey: queue,
    body: bodyOf(message),
    properties: again(message.properties, {
      [ATTEMPTS]: attempts,
      [QUEUE]: queue,
      [DEATH]: crypto.randomUUID(),
      [REASON]: JSON.stringify(short),
    }),
  };
}

/**
 * The same message with ever less of what its sender has put beside its body: headers may be such that
 * they can't be written again.
 */
export function* simpler(whole: Publication): Generator<Publication> {
  yield whole;
  const { contentType, messageId, headers = {} } = whole.properties;
  const plain = (isKept: (name: string) => boolean) =>
    Object.fromEntries(
      Object.entries(headers).filter(([name, value]) => isKept(name) && typeof value !== "object"),
    ) as Record<string, Field>;
  const some = {
    ...(contentType === undefined ? {} : { contentType }),
    ...(messageId === undefined ? {} : { messageId }),
  };
  const isOurs = (name: string): boolean => name.startsWith("durachart-");
  const isKnown = (name: string): boolean => isOurs(name) || name.startsWith("cloudEvents");
  yield { ...whole, properties: { ...some, headers: plain(isKnown) } };
  yield { ...whole, properties: { headers: plain(isOurs) } };
}

/**
 * A message of the dead-letter queue as it is filed. Never throws: nobody would see it then.
 *
 * @param tenantOf whose all messages of a queue are, whatever they say themselves
 * @param now milliseconds since the epoch
 */
export function letterIn(
  message: AMQPMessage,
  tenantOf: (queue: string) => string | undefined,
  now: number,
): DeadLetter {
  const { properties, routingKey } = message;
  const headers = properties.headers ?? {};
  const died = headers[QUEUE];
  const queue = typeof died === "string" ? died : routingKey;
  const attempts = headers[ATTEMPTS];
  const body = shown(message, tenantOf(queue));
  const death = headers[DEATH];
  return {
    whose: findRealm(body),
    origin: `rabbitmq:${queue}`,
    message:
      typeof death === "string" ? death : fingerprint([queue, decoded(message), text(headers)]),
    reason: reasonIn(headers),
    attempts: typeof attempts === "number" ? attempts : 1,
    body,
    at: now,
  };
}

/**
 * What a dead letter holds, for the queue that it died in: straight there, as if it came for the first time.
 *
 * @param body as `letterIn` gives it
 * @throws Error where it could not be read as an event, and so is not whole
 */
export function revivedPublication(queue: string, body: unknown): Publication {
  const { tenant, jurisdiction, event } = (body ?? {}) as Partial<Envelope>;
  if (typeof event !== "object" || event === null) {
    throw new Error("it is not an event that could be read, and was not kept whole");
  }
  const { id } = event as { id?: unknown };
  return {
    exchange: "",
    routingKey: queue,
    body: new TextEncoder().encode(JSON.stringify(event)),
    properties: {
      contentType: STRUCTURED,
      ...(typeof id === "string" && id.length <= MAX_MESSAGE_ID ? { messageId: id } : {}),
      headers: {
        ...(typeof tenant === "string" ? { [TENANT]: tenant } : {}),
        ...(typeof jurisdiction === "string" ? { [JURISDICTION]: jurisdiction } : {}),
      },
    },
  };
}

function decoded(message: AMQPMessage): string {
  return new TextDecoder().decode(bodyOf(message));
}

function text(value: unknown): string {
  return JSON.stringify(value, bigintsAsText) ?? "";
}

function reasonIn(headers: Readonly<Record<string, unknown>>): Problem {
  try {
    return JSON.parse(String(headers[REASON])) as Problem;
  } catch {
    const why = text(headers["x-death"] ?? null);
    const detail = `The broker gave it up: ${why}`.slice(0, 2_000);
    return { type: "about:blank", title: "Given up by the broker", status: 500, detail };
  }
}

/** The envelope where it can be read: it can be put into a queue of ours again. */
function shown(message: AMQPMessage, tenant: string | undefined): unknown {
  const bytes = bodyOf(message);
  const { contentType, headers } = message.properties;
  try {
    const envelope = envelopeIn(message, tenant);
    if (bytesOf(envelope) <= MAX_LETTER) return envelope;
  } catch {
    // It is shown as it is.
  }
  const content = new TextDecoder().decode(bytes.subarray(0, MAX_SHOWN));
  const more = bytes.byteLength - MAX_SHOWN;
  const whose = tenant ?? headers?.[TENANT];
  return {
    ...(typeof whose === "string" ? { tenant: whose } : {}),
    contentType,
    content,
    ...(more > 0 ? { bytesLeftOut: more } : {}),
    headers: text(headers ?? {}).slice(0, 4_000),
  };
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).byteLength;
}

function bigintsAsText(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function bodyOf({ body }: AMQPMessage): Uint8Array {
  return (body as Uint8Array | null) ?? new Uint8Array();
}

function contentOf(message: AMQPMessage): AmqpContent {
  const { contentType, contentEncoding, headers } = message.properties;
  return { contentType, contentEncoding, headers, body: bodyOf(message) };
}

/**
 * What a message takes along when it is published once more. Not what belongs to its first sending: an
 * expiration would cut the delay short, a user id must be the publisher's, CC headers would send copies,
 * and of `x-death` the broker would conclude that it goes round in circles and drop it.
 */
function again(
  {
    contentType,
    contentEncoding,
    messageId,
    correlationId,
    timestamp,
    type,
    appId,
    headers = {},
  }: AMQPProperties,
  own: Record<string, string | number>,
): AMQPProperties {
  const kept = Object.entries(headers).filter(
    ([name]) => !/^(?:CC|BCC|x-(?:first-|last-)?death.*)$/.test(name),
  );
  const some = { contentType, contentEncoding, messageId, correlationId, timestamp, type, appId };
  return {
    ...(Object.fromEntries(
      Object.entries(some).filter(([, value]) => value !== undefined),
    ) as AMQPProperties),
    headers: { ...(Object.fromEntries(kept) as Record<string, Field>), ...own },
  };
}
