import { CloudEvent } from "cloudevents";
import { subjectOf } from "../contract/address.ts";
import type { Envelope } from "../contract/envelope.ts";
import type { Message } from "../contract/message.ts";

/** A message as the CloudEvent that it is, at every boundary the same. */
export function cloudEventOf(message: Message): CloudEvent<unknown> {
  const { id, source, type, data, time, about, trace } = message;
  return new CloudEvent<unknown>({
    id,
    source,
    type,
    subject: subjectOf(about),
    time: new Date(time).toISOString(),
    // CloudEvents extension "Distributed Tracing".
    ...(trace === undefined ? {} : { traceparent: trace }),
    ...(data === undefined ? {} : { datacontenttype: "application/json", data }),
  });
}

/** As our own queues carry it. */
export function envelopeOf(message: Message): Envelope {
  const { about, jurisdiction } = message;
  return {
    tenant: about.tenant,
    ...(jurisdiction === undefined ? {} : { jurisdiction }),
    event: cloudEventOf(message).toJSON(),
  };
}
